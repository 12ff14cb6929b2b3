package ownership

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"slices"
	"strings"
	"syscall"
	"time"
	"unicode/utf8"

	"github.com/google/uuid"

	"github.com/podlaunch/podlaunch/launcher/internal/unixproc"
)

// Version of the record that this package writes. Within a version fields may
// be added, and keep their meaning; a reader ignores what it does not know. A
// record of a later version is believed as far as it can be read.
const Version = 1

// versionElsewhere is that of a record of a process elsewhere. Whoever knows only
// version 1 must not take it for no record.
const versionElsewhere = 2

// A Record says who the pod of a name is. It holds neither the overlay's text
// nor the environment.
//
// Its file has two lines, each a JSON object: one from when the process was started,
// and one that is added once it is ready. A second one that is torn says nothing.
type Record struct {
	Version int    `json:"version"`
	Name    string `json:"name"`
	unixproc.Identity
	Launch  uuid.UUID `json:"launch"`
	Session uuid.UUID `json:"session"` // that was resumed; zero: a fresh one
	Command []string  `json:"command"` // path and arguments, redacted
	Dir     string    `json:"dir"`     // the runtime directory
	Log     string    `json:"log"`     // where the log is
	Started time.Time `json:"started"` // for people; nothing is decided by it

	// Elsewhere is set of a process that has no Identity: it was started for the
	// launch on another machine, or is about to be.
	Elsewhere bool `json:"elsewhere,omitempty"`

	Answer
}

// An Answer is what is added to the record of a pod that is ready.
type Answer struct {
	Ready   bool   `json:"ready"`             // it was ready once
	Network string `json:"network,omitempty"` // where it answers, once Ready
	Address string `json:"address,omitempty"`
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
	f, err := p.base.open(p.recordName(), os.O_RDONLY|nonblock)
	if errors.Is(err, fs.ErrNotExist) {
		return Record{}, fmt.Errorf("%w: %w", ErrNoRecord, err)
	}
	if err != nil {
		if there, statErr := p.base.lstat(p.recordName()); statErr == nil && !there.mode.IsRegular() {
			return Record{}, p.noRecord(there)
		}
		return Record{}, err
	}
	defer f.Close()
	there, err := fileStatus(f)
	switch {
	case err != nil:
		return Record{}, err
	case !there.mode.IsRegular() || there.size > maxRecord:
		return Record{}, p.noRecord(there)
	}
	if err := there.checkOwner(); err != nil {
		return Record{}, fmt.Errorf("the record %q: %w", f.Name(), err)
	}
	data, err := io.ReadAll(io.LimitReader(f, maxRecord))
	if err != nil {
		return Record{}, err
	}
	return parseRecord(data, p.name)
}

func (p *Place) noRecord(there status) error {
	return fmt.Errorf("%w: %q is not a record (%v, %d bytes)", ErrNoRecord, p.recordName(), there.mode, there.size)
}

func parseRecord(data []byte, name string) (Record, error) {
	var r Record
	objects := json.NewDecoder(bytes.NewReader(data))
	var first json.RawMessage
	valid := objects.Decode(&first) == nil
	err := json.Unmarshal(first, &r)
	if err == nil {
		if answer := r.Answer; objects.Decode(&answer) == nil {
			r.Answer = answer
		}
		err = r.eachText(decodeText)
	}
	switch {
	case err == nil && r.Version >= 1 && r.Name == name && r.PID > 1 && r.Boot != "":
		return r, nil
	case err == nil && r.Version >= versionElsewhere && r.Name == name && r.Elsewhere && r.Launch != uuid.Nil:
		return r, nil
	case valid && r.Version > Version:
		// It means something to somebody, and its pod may well run.
		return Record{}, fmt.Errorf("the record is of version %d, and this program knows only version %d, and %d of what runs elsewhere: %w", r.Version, Version, versionElsewhere, errors.Join(errors.ErrUnsupported, err))
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

// write creates the record, in place of one that is in the way. It is not synced
// to the disk: after a crash of the machine no record is worth anything. Whoever
// reads it while it is written finds one that is torn, and so none.
func (p *Place) write(r Record) error {
	r.Version, r.Name = Version, p.name
	if r.Elsewhere {
		r.Version = versionElsewhere
	}
	if err := r.eachText(encodeText); err != nil {
		return err
	}
	data, err := json.Marshal(r)
	if err != nil {
		return err
	}
	f, err := p.create(p.recordName())
	if err != nil {
		return err
	}
	p.written = nil
	made, err := fileStatus(f)
	if err == nil && made.mode.Perm() != 0o600 { // by the umask
		err = f.Chmod(0o600)
	}
	if err == nil {
		made.size = int64(len(data) + 1)
		_, err = f.Write(append(data, '\n'))
	}
	if err == nil {
		p.written = &made
	}
	if closeErr := f.Close(); err == nil {
		err = closeErr
	}
	if err != nil {
		p.base.remove(p.recordName())
	}
	return err
}

// create creates the file called name. The launch lock is ours, so nobody else
// does; what is in the way goes.
func (p *Place) create(name string) (*os.File, error) {
	for {
		f, err := p.base.open(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL)
		if !errors.Is(err, fs.ErrExist) {
			return f, err
		}
		if err := p.base.remove(name); err != nil {
			return nil, err
		}
	}
}

// errNotWritten says that the record is not the one that was written.
var errNotWritten = errors.New("the record was deleted or replaced")

// add adds to the record that was written. This is on the way from the ready line
// to the launch's return, so the record is not replaced: many filesystems flush a
// file that is renamed over another. An error of may keeps it from being written.
func (p *Place) add(a Answer, may func() error) (err error) {
	if a.Address, err = encodeText(a.Address); err != nil {
		return err
	}
	data, err := json.Marshal(a)
	if err != nil {
		return err
	}
	if p.written == nil {
		return errNotWritten
	}
	switch err := p.base.add(p.recordName(), *p.written, append(data, '\n'), may); {
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, syscall.ELOOP):
		return errNotWritten
	default:
		return err
	}
}

// remove deletes the record.
func (p *Place) remove() error { return p.base.remove(p.recordName()) }
