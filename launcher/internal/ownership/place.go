package ownership

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
	"time"

	"github.com/podlaunch/podlaunch/launcher/internal/unixproc"
	"github.com/podlaunch/podlaunch/runtimedir"
)

// A Place is where the witnesses of one name are kept. It is not safe for use
// by several goroutines; each opens its own.
type Place struct {
	// Elsewhere is asked about processes of other machines. Nil: nobody can say
	// anything about them.
	Elsewhere Elsewhere

	base    *dir
	baseIs  status // when it was opened
	name    string
	written *status // of the record that we have written; nil: none
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
	return &Place{base: d, baseIs: s, name: name}, nil
}

// Close frees what the Place holds. Where there is a Claim, ending that does it.
func (p *Place) Close() { p.base.close() }

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
	Launching bool  // somebody has the launch lock
	Holders   []int // who holds the pod lock, as far as they can be seen
	Err       error // why the waiting ended
}

func (e *HeldError) Error() string {
	switch {
	case e.Launching:
		return fmt.Sprintf("somebody else is launching it: %v", e.Err)
	case len(e.Holders) == 0:
		return fmt.Sprintf("the pod cannot be seen, but processes that we cannot look into, of another pid namespace perhaps, hold its name: %v", e.Err)
	}
	return fmt.Sprintf("the pod is gone, but processes %v, which it left behind, still hold its name; end them: %v", e.Holders, e.Err)
}

func (e *HeldError) Unwrap() error { return e.Err }

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

// check returns nil if the process of r is alive.
func (p *Place) check(r Record) error {
	switch {
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

// A Claim is the right to launch the pod: both locks are ours.
type Claim struct {
	place       *Place
	launch, pod *lock
	overlay     *status // of the file that holds the overlay; nil if there is none
}

// How long is waited between two looks at a lock that another holds.
const (
	firstLook = time.Millisecond
	lastLook  = 50 * time.Millisecond
)

// Claim waits until nobody has the name, and takes it. It returns a
// [*RunningError] as soon as the pod runs, and a [*HeldError] wrapping ctx's
// cause if ctx is done before either.
//
// What a launcher left behind that died in the middle of a launch is ended
// first, with SIGKILL: the process that is recorded, if it is proven to be that
// one, and every process that holds the pod lock and goes on holding it.
//
// The error wraps [ErrNotOursAlone] if others may write to the base, and
// [runtimedir.ErrUnavailable] if no lock can be made there.
func (p *Place) Claim(ctx context.Context) (*Claim, error) {
	if err := p.checkBase(); err != nil {
		return nil, err
	}
	var launch *lock
	defer func() {
		if launch != nil {
			launch.unlock()
		}
	}()
	var left leftovers
	launching := false
	for delay := firstLook; ; delay = min(delay*3/2, lastLook) {
		record, err := p.Running()
		if err == nil {
			return nil, &RunningError{record}
		}
		if launch == nil {
			if launch, err = tryLock(p.base, p.launchName()); err != nil && err != errBusy {
				return nil, err
			}
			launching = launch == nil
			if launch != nil {
				continue // what was read before may be out of date
			}
		} else {
			state := err
			// Where the file of the launch lock was deleted under a launcher that
			// lives, we have another one, and it has the pod lock.
			if launching, err = p.takerLives(); err != nil {
				return nil, err
			}
			if !launching {
				claim, err := p.take(&launch, record, state, &left)
				if claim != nil || err != nil {
					return claim, err
				}
			}
		}
		if !pause(ctx, delay) {
			return nil, &HeldError{Launching: launching, Holders: left.pids(), Err: context.Cause(ctx)}
		}
	}
}

// take takes the pod lock, with the launch lock held. state says what record
// is worth, as from Running. It returns neither a claim nor an error if it has
// to be tried again.
func (p *Place) take(launch **lock, record Record, state error, left *leftovers) (*Claim, error) {
	switch {
	case errors.Is(state, ErrNotReady):
		// Its launcher is dead, for we have the launch lock: nobody will make it
		// ready. It need not hold the pod lock any more, so that is not what tells
		// that it is gone.
		err := p.end(record)
		if err == nil {
			return nil, nil
		}
		if !errors.Is(err, unixproc.ErrGone) {
			if record.Elsewhere {
				return nil, fmt.Errorf("end what launch %v, whose launcher died, has left behind: %w", record.Launch, err)
			}
			return nil, fmt.Errorf("end pid %d, which a launcher that died has left behind: %w", record.PID, err)
		}
	case !noWitness(state):
		return nil, state // it may well run
	}
	pod, err := tryLock(p.base, p.podName())
	switch {
	case err == nil:
		there := !errors.Is(state, ErrNoRecord) || !errors.Is(state, fs.ErrNotExist)
		if there {
			err = p.remove()
		}
		if err := errors.Join(err, p.removeOverlay()); err != nil {
			pod.unlock()
			return nil, err
		}
		c := &Claim{place: p, launch: *launch, pod: pod}
		*launch = nil
		return c, nil
	case err != errBusy:
		return nil, err
	}
	if err := left.look(p); err != nil {
		return nil, err
	}
	if record.Ready {
		// Descendants of a pod that was ready are not ours to end. While we wait
		// for them others may look, too.
		(*launch).unlock()
		*launch = nil
		return nil, nil
	}
	return nil, left.end(p)
}

// end ends the process of r, and its group.
func (p *Place) end(r Record) error {
	if r.Elsewhere {
		return p.Elsewhere.End(r) // which has said that it is alive
	}
	return unixproc.KillGroup(r.Identity)
}

// noWitness reports whether the error of Running says that the record proves
// nobody to be alive; any other says that this cannot be told.
func noWitness(err error) bool {
	for _, reason := range []error{ErrNoRecord, unixproc.ErrGone, unixproc.ErrStranger, unixproc.ErrElsewhere} {
		if errors.Is(err, reason) {
			return true
		}
	}
	return false
}

// File is the pod lock, for the pod to inherit.
func (c *Claim) File() *os.File { return c.pod.file }

// Record writes down who was started. It may be called until Abandon or Settle.
func (c *Claim) Record(r Record) error {
	if err := c.check(); err != nil {
		return err
	}
	return c.place.write(r)
}

// RecordReady adds to the record r, which was written down, that the pod is ready
// at r.Answer. Just before it writes, when nothing else is left that may take long, it
// calls may, and writes nothing if that returns an error. It may be called until
// Abandon or Settle.
func (c *Claim) RecordReady(r Record, may func() error) error {
	if err := c.check(); err != nil {
		return err
	}
	err := c.place.add(r.Answer, may)
	if !errors.Is(err, errNotWritten) {
		return err
	}
	if err := may(); err != nil {
		return err
	}
	return c.place.write(r)
}

// check makes sure that the name is still ours. Somebody may have cleaned the
// files away that we have locked; either of them keeps others from the name.
func (c *Claim) check() error {
	for _, l := range []struct {
		name string
		lock *lock
	}{{c.place.launchName(), c.launch}, {c.place.podName(), c.pod}} {
		same, err := l.lock.isAt(c.place.base, l.name)
		if same || err != nil && !errors.Is(err, errNotRegular) { // that is somebody else's, too
			return err
		}
	}
	return errDeleted
}

// errDeleted says that a Claim is none any more.
var errDeleted = errors.New("both locks were deleted while they were held, and the name may be another's now")

// Abandon gives the name back when no process was started, or the one that was
// has gone. It ends the Claim, and returns once the pod lock is free: processes
// that a failed pod has left behind, and that go on holding it, are sent
// SIGKILL, and returned. Once ctx is done, the error names those that are left. An
// error about the record says that it is still there; it proves nobody to be alive.
func (c *Claim) Abandon(ctx context.Context, started bool) (ended []int, err error) {
	defer c.place.Close()
	defer c.launch.unlock()
	overlayErr := c.RemoveOverlay()
	recordErr := c.check()
	switch {
	case recordErr == nil:
		recordErr = c.place.remove()
	case errors.Is(recordErr, errDeleted):
		recordErr = nil // it is another's by now
	}
	if recordErr != nil {
		recordErr = fmt.Errorf("remove the record: %w", recordErr)
	}
	leftErr := errors.Join(recordErr, overlayErr)
	if !started {
		c.pod.unlock()
		return nil, leftErr
	}
	c.pod.drop()
	ended, err = c.endHolders(ctx)
	return ended, errors.Join(err, leftErr)
}

// endHolders ends who goes on holding the pod lock, which we have dropped, until
// it is free.
func (c *Claim) endHolders(ctx context.Context) (ended []int, err error) {
	var left leftovers
	for delay := firstLook; ; delay = min(delay*3/2, lastLook) {
		pod, err := tryLock(c.place.base, c.place.podName())
		if err == nil {
			pod.unlock()
			return left.killed, nil
		}
		if err != errBusy {
			return left.killed, err
		}
		if err := left.look(c.place); err != nil {
			return left.killed, err
		}
		if err := left.end(c.place); err != nil {
			return left.killed, err
		}
		if !pause(ctx, delay) {
			return left.killed, &HeldError{Holders: left.pids(), Err: context.Cause(ctx)}
		}
	}
}

// pause waits for d, and reports whether ctx is still good.
func pause(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return ctx.Err() == nil
	case <-ctx.Done():
		return false
	}
}

// Settle leaves the name to the process that was started. It ends the Claim.
func (c *Claim) Settle() {
	c.pod.drop()
	c.launch.unlock()
	c.place.Close()
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
