package ownership

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/podlaunch/podlaunch/launcher/internal/unixproc"
	"github.com/podlaunch/podlaunch/runtimedir"
)

// A Place is where the witnesses of one name are kept. It is not safe for use
// by several goroutines; each opens its own.
type Place struct {
	// Elsewhere is asked about processes of other machines. Nil: nobody can say
	// anything about them.
	Elsewhere Elsewhere

	base   *dir
	baseIs status // when it was opened
	name   string
	euid   int         // who we are
	record *openRecord // that we have written; nil: none

	may func() error // see Claim.AskBefore; nil: an addition may always be written
}

// Elsewhere knows the processes that run on other machines.
type Elsewhere interface {
	// Check returns nil if the process of r is alive, an error wrapping
	// unixproc.ErrGone if it is not, and any other if that cannot be told.
	Check(r Record) error

	// End begins to end it. The error wraps unixproc.ErrGone if it is gone already.
	End(r Record) error
}

// Open returns the Place of name, a valid one, below base, which must exist and
// be no symbolic link.
func Open(base, name string) (*Place, error) {
	d, s, err := openBase(base)
	if err != nil {
		return nil, err
	}
	return &Place{base: d, baseIs: s, name: name, euid: os.Geteuid()}, nil
}

// mayWrite reports why an addition to the record must not be written.
func (p *Place) mayWrite() error {
	if p.may == nil {
		return nil
	}
	return p.may()
}

// Close frees what the Place holds. Where there is a Claim, ending that does it.
func (p *Place) Close() {
	p.forget()
	p.base.close()
}

// path returns the path of the file called name.
func (p *Place) path(name string) string { return filepath.Join(p.base.path, name) }

func (p *Place) recordName() string { return "." + p.name + ".json" }
func (p *Place) launchName() string { return "." + p.name + ".launch" }
func (p *Place) podName() string    { return "." + p.name + ".pod" }

// A RunningError says that the pod runs.
type RunningError struct{ Record Record }

func (e *RunningError) Error() string {
	if e.Record.Elsewhere {
		return fmt.Sprintf("it runs already, on another machine, since launch %v", e.Record.Launch)
	}
	return fmt.Sprintf("it runs already, as pid %d", e.Record.PID)
}

// A HeldError says that somebody holds the name who is not the pod, and did not
// let go in time.
type HeldError struct {
	Launching bool     // a launcher has the name
	Holders   []int    // who holds the pod lock, if that can be seen
	Commands  []string // the names of their programs
	Err       error    // why the waiting ended
}

func (e *HeldError) Error() string {
	switch {
	case e.Launching:
		return fmt.Sprintf("somebody else is launching it: %v", e.Err)
	case len(e.Holders) == 0:
		return fmt.Sprintf("the pod cannot be seen, but processes that we cannot look into, of another pid namespace perhaps, hold its name: %v", e.Err)
	}
	var who []string
	for i, pid := range e.Holders {
		who = append(who, fmt.Sprintf("%d (%s)", pid, e.Commands[i]))
	}
	return fmt.Sprintf("the pod is gone, but processes [%s], which were left behind, still hold its name; end them: %v", strings.Join(who, ", "), e.Err)
}

func (e *HeldError) Unwrap() error { return e.Err }

// errStays is why there is no more waiting for those who were left behind.
var errStays = errors.New("they do not let go of it")

// Running returns the record of the pod if it runs: it was ready once, and the
// process is proven to be the one recorded, and alive. The error otherwise says
// why not: ErrNoRecord, ErrNotReady, unixproc.ErrGone, unixproc.ErrStranger …
func (p *Place) Running() (Record, error) {
	r, err := p.read()
	if err != nil {
		return Record{}, err
	}
	if err := p.check(r); err != nil {
		return r, err
	}
	if !r.Ready {
		return r, ErrNotReady
	}
	return r, nil
}

// errUnstarted says that an Intent is all there is.
var errUnstarted = fmt.Errorf("%w: it was not started, or its launcher died before it could record it", unixproc.ErrGone)

// check returns nil if the process of r is alive.
func (p *Place) check(r Record) error {
	switch {
	case !r.started():
		return errUnstarted
	case !r.Elsewhere:
		return r.Check()
	case p.Elsewhere == nil:
		return fmt.Errorf("launch %v of it was started on another machine, and whoever asks now cannot find out whether it runs there: %w", r.Launch, errors.ErrUnsupported)
	}
	return p.Elsewhere.Check(r)
}

// ErrNotReady says that the pod is recorded and alive, and has not been ready
// yet.
var ErrNotReady = errors.New("it has not been ready yet")

// Launching reports whether somebody is launching the pod, or ending what is
// left of it. It makes no file, and those who only ask do not see each other.
func (p *Place) Launching() (bool, error) {
	return isLocked(p.base, p.launchName())
}

// Names returns the names that were ever claimed below base, in order. Entries
// that are none of ours are passed over.
func Names(base string) ([]string, error) {
	entries, err := os.ReadDir(base)
	if err != nil {
		return nil, err
	}
	var names []string
	for _, e := range entries {
		name, ok := strings.CutSuffix(strings.TrimPrefix(e.Name(), "."), ".launch")
		if ok && e.Name()[0] == '.' && e.Type().IsRegular() && runtimedir.ValidateName(name) == nil {
			names = append(names, name)
		}
	}
	return names, nil
}
