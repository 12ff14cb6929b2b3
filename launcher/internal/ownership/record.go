package ownership

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/google/uuid"

	"github.com/podlaunch/podlaunch/launcher/internal/proc"
)

// Version of the record that this package writes. Within a version fields may
// be added, and keep their meaning; a reader ignores what it does not know. A
// record of a later version is believed as far as it can be read.
const Version = 1

// A Record says who the pod of a name is. It holds neither the overlay's text
// nor the environment.
type Record struct {
	Version int    `json:"version"`
	Name    string `json:"name"`
	proc.Identity
	Launch  uuid.UUID `json:"launch"`
	Session uuid.UUID `json:"session"`           // that was resumed; zero: a fresh one
	Command []string  `json:"command"`           // path and arguments, redacted
	Dir     string    `json:"dir"`               // the runtime directory
	Log     string    `json:"log"`               // where the log is
	Started time.Time `json:"started"`           // for people; nothing is decided by it
	Ready   bool      `json:"ready"`             // it was ready once
	Network string    `json:"network,omitempty"` // where it answers, once Ready
	Address string    `json:"address,omitempty"`
}

// maxRecord is more than any record of ours can be: an argument list has at
// most a few hundred KiB once the overlay is out of it. What is larger is junk.
const maxRecord = 4 << 20

// ErrNoRecord says that there is no record, or none that can be read.
var ErrNoRecord = errors.New("no record")

// read returns the record. A file that is not a record, because somebody else
// has written it or it is torn, counts as none: the locks still protect the
// name.
func (p *Place) read() (Record, error) {
	fi, err := p.root.Lstat(p.recordName())
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return Record{}, ErrNoRecord
	case err != nil:
		return Record{}, err
	case !fi.Mode().IsRegular() || fi.Size() > maxRecord:
		return Record{}, fmt.Errorf("%w: %q is not a record (%v, %d bytes)", ErrNoRecord, p.recordName(), fi.Mode(), fi.Size())
	}
	if err := checkOwner(fi); err != nil {
		return Record{}, fmt.Errorf("the record %q: %w", filepath.Join(p.root.Name(), p.recordName()), err)
	}
	data, err := p.root.ReadFile(p.recordName())
	if err != nil {
		return Record{}, err
	}
	return parseRecord(data, p.name)
}

func parseRecord(data []byte, name string) (Record, error) {
	var r Record
	err := json.Unmarshal(data, &r)
	if err == nil {
		err = r.eachText(decodeText)
	}
	switch {
	case err == nil && r.Version >= 1 && r.Name == name && r.PID > 1 && r.Boot != "":
		return r, nil
	case json.Valid(data) && r.Version > Version:
		// It means something to somebody, and its pod may well run.
		return Record{}, fmt.Errorf("the record is of version %d, and this program knows only version %d: %w", r.Version, Version, errors.Join(errors.ErrUnsupported, err))
	case err != nil:
		return Record{}, fmt.Errorf("%w: %w", ErrNoRecord, err)
	}
	return Record{}, fmt.Errorf("%w: version %d, name %q, pid %d", ErrNoRecord, r.Version, r.Name, r.PID)
}

// eachText replaces every string of r that may hold any bytes, for a path may,
// by what f makes of it.
func (r *Record) eachText(f func(string) (string, error)) (err error) {
	r.Command = slices.Clone(r.Command)
	all := []*string{&r.Dir, &r.Log, &r.Address}
	for i := range r.Command {
		all = append(all, &r.Command[i])
	}
	for _, s := range all {
		if *s, err = f(*s); err != nil {
			return err
		}
	}
	return nil
}

// binary begins a text that JSON, which is UTF-8, cannot hold as it is.
const binary = "base64:"

func encodeText(s string) (string, error) {
	if utf8.ValidString(s) && !strings.HasPrefix(s, binary) {
		return s, nil
	}
	return binary + base64.StdEncoding.EncodeToString([]byte(s)), nil
}

func decodeText(s string) (string, error) {
	coded, ok := strings.CutPrefix(s, binary)
	if !ok {
		return s, nil
	}
	raw, err := base64.StdEncoding.DecodeString(coded)
	return string(raw), err
}

// write replaces the record, at once and whole. It is not synced to the disk:
// after a crash of the machine no record is worth anything.
func (p *Place) write(r Record) error {
	r.Version, r.Name = Version, p.name
	if err := r.eachText(encodeText); err != nil {
		return err
	}
	data, err := json.MarshalIndent(r, "", "\t")
	if err != nil {
		return err
	}
	temp := p.recordName() + ".tmp"
	f, err := p.createTemp(temp)
	if err != nil {
		return err
	}
	if err = f.Chmod(0o600); err == nil { // whatever the umask
		_, err = f.Write(append(data, '\n'))
	}
	if closeErr := f.Close(); err == nil {
		err = closeErr
	}
	if err == nil {
		err = p.root.Rename(temp, p.recordName())
	}
	if err != nil {
		p.root.Remove(temp)
	}
	return err
}

// createTemp creates the file called name. The launch lock is ours, so nobody
// else writes; what a writer left who was killed in the middle is in the way, and
// goes.
func (p *Place) createTemp(name string) (*os.File, error) {
	for {
		f, err := p.root.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL|nonblock, 0o600)
		if !errors.Is(err, fs.ErrExist) {
			return f, err
		}
		if err := p.root.Remove(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, err
		}
	}
}

// remove deletes the record.
func (p *Place) remove() error {
	// Most often there is none, and os.Root tries two ways to remove one.
	if _, err := p.root.Lstat(p.recordName()); errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err := p.root.Remove(p.recordName()); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}
