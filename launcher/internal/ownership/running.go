package ownership

import (
	"errors"
	"fmt"
	"path/filepath"
	"strings"

	"github.com/podlaunch/podlaunch/launcher/internal/osproc"
)

// A RunningError says that the pod runs.
type RunningError struct{ Record Record }

func (e *RunningError) Error() string {
	if e.Record.Elsewhere {
		return fmt.Sprintf("on another machine, since launch %v", e.Record.Launch)
	}
	return fmt.Sprintf("as pid %d", e.Record.PID)
}

// A HeldError says that processes other than the pod hold the name, and did not let go in
// time, or that processes that a pod has left behind hold it.
type HeldError struct {
	Launching bool     // a launcher has the name
	Holders   []int    // the processes that hold the pod lock, if they can be seen
	Commands  []string // the names of their programs, and whether one is ours
	Left      bool     // a pod that is gone has left them behind
	NoRecord  bool     // they may be the pod, for there is no record
	Signalled bool     // they were sent the stop signal
	Err       error    // why the waiting ended; nil: there was no reason to wait
}

func (e *HeldError) Error() string {
	text := e.who()
	if e.Err != nil {
		text += ": " + e.Err.Error()
	}
	return text
}

func (e *HeldError) who() string {
	switch {
	case e.Launching:
		return "somebody else is launching it"
	case len(e.Holders) == 0:
		return "processes that cannot be seen hold it: of another user or pid namespace perhaps, or such as may not be dumped, as ssh-agent"
	}
	var each []string
	for i, pid := range e.Holders {
		each = append(each, fmt.Sprintf("%d (%s)", pid, e.Commands[i]))
	}
	who := "processes [" + strings.Join(each, ", ") + "]"
	if e.Signalled { // not all of them need have the lock
		return who + " are still there, and were sent the stop signal"
	}
	who += " hold it"
	switch {
	case e.NoRecord:
		return who + ", and may be the pod, for its record is missing; Launcher.Stop ends them"
	case e.Left:
		return who + ", which the pod left behind when it ended; Launcher.Stop ends them, and so does a launch with Launcher.Reclaim"
	}
	return who
}

func (e *HeldError) Unwrap() error { return e.Err }

// Running returns the record of the pod if it runs: it was ready once, and the
// process is proven to be the one recorded, and alive. The error otherwise says
// why not: ErrNoRecord, ErrNotReady, also if it ends with its launcher, which has ended, osproc.ErrGone, osproc.ErrStranger …
//
// A container may show a boot id of its own, as systemd-nspawn has it. So where the record is of
// another pid namespace, too, the machine was restarted since only if nobody has the pod lock:
// no lock outlives that.
func (p *Place) Running() (Record, error) {
	r, err := p.running()
	if errors.Is(err, osproc.ErrRestarted) && !r.IsFromHere() {
		switch held, lockErr := isLocked(p.base, p.podName()); {
		case lockErr != nil:
			err = fmt.Errorf("%w: %w", ErrUnclear, lockErr)
		case held:
			err = fmt.Errorf("%w, and the boot id there is another; processes hold its lock", osproc.ErrElsewhere)
		}
	}
	return r, err
}

// running is Running by the record alone: who has the locks knows that nobody else has them.
func (p *Place) running() (Record, error) {
	r, err := p.read()
	if err != nil {
		return Record{}, err
	}
	state := p.check(r)
	if state != nil && r.Cgroup == "" {
		return r, state
	}
	switch from, err := p.copiedFrom(r); {
	case err != nil:
		return Record{}, err
	case state != nil:
		if from != "" {
			r.Cgroup = "" // what is in there is the other's
		}
		return r, state
	case from != "":
		return Record{}, p.unclear(fmt.Errorf("it is a copy of the record in %q, or that base by another way", from), askElsewhere)
	}
	switch {
	case !r.Ready:
		return r, ErrNotReady
	case p.isDoomed(r):
		r.Ready = false // as good as never
		return r, &doomedError{r.Launcher.PID}
	}
	return r, nil
}

// isDoomed reports whether the pod ends with its launcher, and that is proven to have ended: the
// launcher's keeper is about to end the pod, or was ended with the launcher. A program that has
// executed another in its place has ended in this sense.
func (p *Place) isDoomed(r Record) bool {
	const withParent = 1 // launcher.WithParent
	if r.Lifetime != withParent {
		return false
	}
	if by, err := self(); err == nil && by.Identity == r.Launcher.Identity {
		return p.Kept != nil && !p.Kept(r.Launch)
	}
	return osproc.ProvesEnd(r.Launcher.Check())
}

// A doomedError is an ErrNotReady: nobody gets the pod any more, and the next launch ends it.
type doomedError struct{ launcher int }

func (e *doomedError) Error() string {
	return fmt.Sprintf("it ends with the program that launched it, pid %d, and that has ended, or executes another program now", e.launcher)
}

func (e *doomedError) Is(target error) bool { return target == ErrNotReady }

// IsDoomed reports whether state, which is what Running has said, is that the pod ends with its
// launcher, which has ended.
func IsDoomed(state error) bool {
	var doomed *doomedError
	return errors.As(state, &doomed)
}

// IsAbandoned reports whether the launch of r came to no ready pod, according to state, which is
// what Running has said of r. Something of it may still run, unless the machine was restarted.
func (r *Record) IsAbandoned(state error) bool {
	return errors.Is(state, ErrNotReady) || !r.Ready && osproc.ProvesEnd(state) && !errors.Is(state, osproc.ErrRestarted)
}

// copiedFrom returns the base that r is of, if that is another one than ours, and still has the
// record of the same launch: somebody has copied the base. Else it returns "". A base that was
// moved, or is mounted at another path, too, is no copy. The error says that this cannot be told
// for want of a descriptor or of memory; it is an ErrUnclear.
func (p *Place) copiedFrom(r Record) (string, error) {
	base := filepath.Dir(r.Dir)
	if r.Dir == "" || base == p.base.path {
		return "", nil
	}
	var theirs Record
	other, err := Open(base, p.name)
	if err == nil {
		defer other.Close()
		theirs, err = other.read()
	}
	switch {
	case isPassing(err):
		return "", fmt.Errorf("%w, for whether its record is a copy cannot be told now: %w", ErrUnclear, err)
	case err != nil || theirs.Launch != r.Launch || other.baseIs.same(p.baseIs):
		return "", nil
	}
	return base, nil
}

// errUnstarted says that an Intent is all there is.
var errUnstarted = fmt.Errorf("%w: it was not started, or its launcher died before it could record it", osproc.ErrGone)

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

// A Sight is what one look at a Place has found. It waits for nobody: a launch may
// begin or end while it is taken.
type Sight struct {
	Record    Record
	Err       error // of Running; nil: the pod runs
	Launching bool  // as of the function Launching

	// Unclear wraps ErrUnclear, and says why Err does not prove that the pod is gone
	// though a Claim may believe it: that has the locks besides. Nil: Err decides.
	Unclear error
}

// Look takes a look. The launch lock comes before the record: a launch that ends in
// between has left its verdict there. That the launch lock cannot be read matters only
// where the pod is not proven to run.
func (p *Place) Look() (s Sight, err error) {
	s.Launching, err = p.Launching()
	s.Record, s.Err = p.Running()
	switch {
	case s.Err == nil:
		return s, nil
	case err != nil || s.Launching:
	case errors.Is(s.Err, osproc.ErrElsewhere):
		s.Unclear = fmt.Errorf("%w from here: %w; look from that namespace, or remove the record %q if it is no more",
			ErrUnclear, s.Err, p.path(p.recordName()))
	case errors.Is(s.Err, ErrNoRecord):
		var held bool
		if held, err = isLocked(p.base, p.podName()); held {
			s.Unclear = fmt.Errorf("%w: its record was deleted or damaged, and processes hold its name, by the lock %q; Launcher.Stop ends them",
				ErrUnclear, p.path(p.podName()))
		}
	}
	return s, err
}

// Final reports whether s can be believed, which follows the look that found before.
// A launch that has begun just after the launch lock was looked at shows a record that
// is not ready, or no record and a pod lock that is held. If the next look shows the
// same, and again nobody launches, then it is no launch that is under way.
func (s Sight) Final(before Sight) bool {
	if !s.unsure() {
		return true
	}
	return before.unsure() && (s.Unclear == nil) == (before.Unclear == nil) && s.Record.Launch == before.Record.Launch
}

// unsure reports whether a launch that has just begun would look like s.
func (s Sight) unsure() bool {
	notReady := s.Record.Version != 0 && !s.Record.Ready
	return s.Err != nil && !s.Launching && (notReady || s.Unclear != nil)
}

// IsHeld reports whether anybody has the pod lock of name below base. It takes none but that,
// and for a moment: who lists pods does not see it, as it would a Claim.
func IsHeld(base, name string) (bool, error) {
	p, err := Open(base, name)
	if err != nil {
		return false, err
	}
	defer p.Close()
	return isLocked(p.base, p.podName())
}

// Launching reports whether somebody is launching the pod, or ending what is
// left of it. It makes no file, and those who only ask do not see each other.
func (p *Place) Launching() (bool, error) {
	return isLocked(p.base, p.launchName())
}
