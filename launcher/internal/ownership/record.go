package ownership

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/google/uuid"

	"github.com/podlaunch/podlaunch/launcher/internal/osproc"
)

// Version of the record that this package writes. Within a version fields may
// be added, and keep their meaning; a reader ignores fields that it does not know. A
// reader believes those fields of a later version that it can read.
//
// A record of version 1 is one object, which holds the process; the Answer may follow. A
// program that knows only version 1 must not take a record of version 3 for none. It
// finds no process in the first object, and fails because of the version.
const Version = 3

// versionElsewhere is the version of the record of a process on another machine. The
// record has the form of version 1.
const versionElsewhere = 2

// A Record says who the pod of a name is. It holds neither the overlay's text
// nor the environment, only digests of them.
//
// Its file has up to three lines. Each is a JSON object, and is written at once: the
// Intent before there is a process, the Identity of the process after its start with the
// Digests, and the Answer once the pod is ready. A reader ignores a line that is torn.
type Record struct {
	Intent
	osproc.Identity // zero until the process was started
	Answer
}

// An Intent says who is about to launch what.
type Intent struct {
	Version  int       `json:"version"`
	Name     string    `json:"name"`
	Launch   uuid.UUID `json:"launch"`
	Launcher Owner     `json:"launcher,omitzero"` // the program that launches the pod
	Session  uuid.UUID `json:"session"`           // that was resumed; zero: a fresh one
	Command  []string  `json:"command"`           // path and arguments, redacted, and shortened
	Dir      string    `json:"dir"`               // the runtime directory
	Log      string    `json:"log"`               // where the log is
	Started  time.Time `json:"started"`           // for people; nothing is decided by it

	// Elsewhere is set of a process that has no Identity: it was started for the
	// launch on another machine, or is about to be.
	Elsewhere bool `json:"elsewhere,omitempty"`

	// KillMode and StopSignal say how the pod is ended. They are the launcher's.
	KillMode   int `json:"killMode,omitempty"`
	StopSignal int `json:"stopSignal,omitempty"`

	// Lifetime says whether the pod ends with its launcher. It is the launcher's.
	Lifetime int `json:"lifetime,omitempty"`
	// Cgroup is where the pod and all that comes of it are; empty: in none of their
	// own. Its name ends in the launch.
	Cgroup string `json:"cgroupPath,omitempty"`

	// Overlay says that the overlay is in a file, see OverlayName.
	Overlay bool `json:"overlay,omitempty"`

	// Digests are those of what is launched; nil in a record of an earlier version
	// of this library, and as long as no process was started. In the file they stand
	// beside the Identity of the process; without one, or in an earlier record, here.
	Digests *Digests `json:"digests,omitempty"`
}

// A started is what is added to the record of a pod whose process was started.
type started struct {
	osproc.Identity
	Digests *Digests `json:"digests,omitempty"`
}

// Digests tell whether two launches are of the same, and which part of them is not.
// None is empty, with the exceptions below. What they are of is the launcher's.
type Digests struct {
	Command     string `json:"command"` // its path
	Arguments   string `json:"arguments"`
	Overlay     string `json:"overlay"`
	Environment string `json:"environment"`
	Directory   string `json:"directory"`       // the working directory
	File        string `json:"file,omitempty"`  // size and time of the program; empty if no file was seen
	Build       string `json:"build,omitempty"` // build id of the program; empty if it has none
}

// An Owner is a launcher.
type Owner struct {
	osproc.Identity
	Session int `json:"session"` // its session, which no pod is in
}

// An Answer is what is added to the record of a pod that is ready.
type Answer struct {
	Ready   bool   `json:"ready"`             // it was ready once
	Network string `json:"network,omitempty"` // where it answers, once Ready
	Address string `json:"address,omitempty"`
}

// started reports whether a process is recorded.
func (r *Record) started() bool { return r.PID != 0 || r.Elsewhere }

// same reports whether both say the same of one launch.
func (r *Record) same(s *Record) bool {
	return r.Launch == s.Launch && r.Identity == s.Identity && r.Ready == s.Ready
}

const (
	// maxCommand is how many bytes of the record a command may take: a longer one is
	// shortened.
	maxCommand = 32 << 10

	// maxWritten is how many bytes a record may take.
	maxWritten = 64 << 10

	// maxRecord is more than any record can be, also of an earlier version.
	maxRecord = 4 << 20
)

// ErrNoRecord says that there is no record, or only the beginning of one: its
// launcher died while it was writing that.
var ErrNoRecord = errors.New("no record")

// ErrUnclear says that there is a record which cannot be believed: it cannot be
// read, or is none of ours. It may be about a pod that runs, so nobody is started,
// and nobody is signalled.
var ErrUnclear = errors.New("whether the pod runs cannot be told")

// parseRecord returns the record of name that is in data, and ErrNoRecord if there
// is no more than the beginning of one.
func parseRecord(data []byte, name string) (r Record, err error) {
	data = bytes.TrimRight(data, "\x00") // which a crash of the machine may leave
	objects := json.NewDecoder(bytes.NewReader(data))
	err = objects.Decode(&r)
	if len(data) == 0 || data[0] == '{' && errors.Is(err, io.ErrUnexpectedEOF) {
		return Record{}, fmt.Errorf("%w: it is torn after %d bytes", ErrNoRecord, len(data))
	}
	if err == nil {
		r.readMore(objects)
		err = r.eachText(decodeText)
	}
	if err == nil {
		err = r.validate(name)
	}
	switch {
	case err == nil:
		return r, nil
	case r.Version > Version:
		err = fmt.Errorf("it is of version %d, and this program knows only version %d: %w: %w", r.Version, Version, errors.ErrUnsupported, err)
	}
	return Record{}, err
}

// readMore reads what follows the first object of r: an Answer, and before that the
// Identity of the process if it is not in the first. Nothing else can be added.
func (r *Record) readMore(objects *json.Decoder) {
	if r.Version >= 3 && !r.started() {
		s := started{Digests: r.Digests}
		if objects.Decode(&s) != nil {
			return
		}
		r.Identity, r.Digests = s.Identity, s.Digests
	}
	if answer := r.Answer; objects.Decode(&answer) == nil {
		r.Answer = answer
	}
}

// validate makes sure that r can be a record of name.
func (r *Record) validate(name string) error {
	process := r.PID > 1 && r.Boot != ""
	if r.Version >= 3 && !process {
		process = r.PID == 0 && !r.Ready && r.Launch != uuid.Nil && r.Launcher.PID > 0 && r.Launcher.Boot != ""
	}
	if r.Version >= versionElsewhere && r.Elsewhere {
		process = r.Launch != uuid.Nil
	}
	if r.Version < 1 || !sameName(r.Name, name) || !process {
		return fmt.Errorf("version %d, name %q, pid %d, launch %v", r.Version, r.Name, r.PID, r.Launch)
	}
	return nil
}

// eachText replaces every string of r that may hold any bytes, for a path may,
// by what f makes of it.
func (r *Record) eachText(f func(string) (string, error)) (err error) {
	r.Command = slices.Clone(r.Command)
	all := []*string{&r.Dir, &r.Log, &r.Address, &r.Cgroup}
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

// shorten returns the command as it is if it takes no more than maxCommand of a
// record, else its first arguments, and how much is left out.
func shorten(command []string) []string {
	most := 0
	for _, arg := range command {
		most += 6*len(arg) + len(`"base64:====",`) // a byte takes six at most, as <, which is \u003c
	}
	if most <= maxCommand {
		return command
	}
	room := maxCommand
	for i, arg := range command {
		if room -= len(arg) + len(`"",`); room >= 0 {
			text, _ := encodeText(arg)
			quoted, err := json.Marshal(text)
			if room -= len(quoted) - len(`""`) - len(arg); err == nil && room >= 0 {
				continue
			}
		}
		left := 0
		for _, arg := range command[i:] {
			left += len(arg)
		}
		return append(slices.Clone(command[:i]), fmt.Sprintf("… %d more, %d bytes", len(command)-i, left))
	}
	return command
}

// lines returns what r has in its file.
func (r Record) lines() ([]byte, error) {
	r.Command = shorten(r.Command)
	if err := r.eachText(encodeText); err != nil {
		return nil, err
	}
	objects := []any{r.Intent}
	if r.PID != 0 {
		first := r.Intent
		first.Digests = nil
		objects = []any{first, started{r.Identity, r.Digests}}
	}
	if r.Ready {
		objects = append(objects, r.Answer)
	}
	var text bytes.Buffer
	for _, o := range objects {
		if err := json.NewEncoder(&text).Encode(o); err != nil {
			return nil, err
		}
	}
	if text.Len() > maxWritten {
		return nil, fmt.Errorf("the record would take %d bytes, %d are allowed: the paths in it are too long", text.Len(), maxWritten)
	}
	return text.Bytes(), nil
}

// A privateNote is what is in a private pod's lock: who launches the pod, and where its
// cgroup is to be. A pod that was released, or whose launcher has died, leaves nothing else
// by which that cgroup is found.
type privateNote struct {
	Owner
	Launch uuid.UUID `json:"launch,omitzero"`
	Cgroup string    `json:"cgroupPath,omitempty"` // as encodeText has it; empty: none
}
