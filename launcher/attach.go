package launcher

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"time"

	"github.com/podlaunch/podlaunch/launcher/internal/ownership"
	"github.com/podlaunch/podlaunch/launcher/internal/unixproc"
	"github.com/podlaunch/podlaunch/runtimedir"
)

// Attach returns the pod called name, which somebody else has launched: an
// earlier run of this program, for instance. If the pod is just being launched,
// Attach waits until it is ready or given up, within ctx and Launcher.Timeout.
//
// The process is proven to be the one recorded, by its pidfd, its start time,
// the boot of the machine and the pid namespace. Nobody connects to the pod: it may be
// hung, or another process may answer in its place, as behind a socket that a third
// has bound, and it can still be stopped. [Pod.Verify] asks who answers. Everything that
// a [Pod] can do, it can do without being the parent of the process; how the process
// ended is told where the kernel tells it, else it is unknown ([Exit.Known]).
//
// Attach fails with an [*Error] of [StageOwn]. errors.Is finds [fs.ErrNotExist]
// in it if no such pod runs, and only then; [ErrNotOurs] if the recorded pid is a
// stranger's by now; [ErrHeld] if there is no record, and processes hold the name;
// [errors.ErrUnsupported] on all systems but Linux. Any other error says that it cannot
// be told whether the pod runs. Attach makes nothing. Exception: a Launcher.Dir that
// cannot tell its base makes the pod's directory.
func (l *Launcher) Attach(ctx context.Context, name string) (*Pod, error) {
	n := newLaunch(l, opAttach, Spec{Name: name})
	ctx, release := n.bound(ctx)
	defer release()
	if err := n.checkName(); err != nil {
		return nil, n.logged(err)
	}
	pod, err := n.guarded(ctx, n.attach)
	if err != nil {
		return nil, n.logged(err)
	}
	n.log.Info("attached", "pid", pod.PID(), "endpoint", pod.Endpoint().String(), "took", time.Since(n.began))
	return pod, nil
}

// checkName refuses what cannot be asked of a name that exists already.
func (n *attempt) checkName() error {
	if !unixproc.Supported {
		return n.failure(StageOwn, fmt.Errorf("%s on this system: %w", n.op, errors.ErrUnsupported))
	}
	if err := runtimedir.ValidateName(n.spec.Name); err != nil {
		return n.failure(StageOwn, err)
	}
	return nil
}

// guarded calls f, but does not wait much longer than ctx for what hangs. A Pod that
// comes too late is released. Its error is an *Error of StageOwn.
func (n *attempt) guarded(ctx context.Context, f func(context.Context) (*Pod, error)) (*Pod, error) {
	running := spawn(func() (*Pod, error) { return f(ctx) })
	o, ok := within(ctx, patience, running)
	switch {
	case !ok:
		go func() { // ends with f
			if late := <-running; late.value != nil {
				late.value.Release()
			}
		}()
		e := n.failure(StageOwn, n.whyOver(ctx))
		e.Leftover = fmt.Errorf("%s has not returned: a strategy or a filesystem hangs; what it still makes is cleared when it does", n.op)
		return nil, e
	case o.crash != nil:
		o.crash.resume()
	case o.err != nil:
		return nil, n.failure(StageOwn, o.err)
	}
	return o.value, nil
}

// attachOnce is attach, but does not wait for a launch that is going on.
func (n *attempt) attachOnce(ctx context.Context) (*Pod, error) {
	place, err := n.openPlace(ctx)
	if err != nil {
		return nil, err
	}
	defer place.Close()
	record, err := n.running(place)
	if err != nil {
		return nil, notRunning(err, true)
	}
	return n.adopt(ctx, place, record)
}

// attach waits until the pod runs and attaches to it.
func (n *attempt) attach(ctx context.Context) (*Pod, error) {
	place, err := n.openPlace(ctx)
	if err != nil {
		return nil, err
	}
	defer place.Close()
	for delay := time.Millisecond; ; delay = min(2*delay, 50*time.Millisecond) {
		// In this order: a launch that ends between the two looks has left its
		// verdict by then.
		launching, err := place.Launching()
		if err != nil {
			return nil, err
		}
		record, err := n.running(place)
		if err == nil {
			pod, err := n.adopt(ctx, place, record)
			if errors.Is(err, fs.ErrNotExist) && ctx.Err() == nil {
				continue // it has ended meanwhile, and may have a successor
			}
			return pod, err
		}
		if !launching {
			held, heldErr := n.heldWithout(ctx, place, err)
			if heldErr != nil {
				return nil, heldErr
			}
			if !held {
				return nil, notRunning(err, false)
			}
		}
		timer := time.NewTimer(delay)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return nil, fmt.Errorf("it is being launched: %w", whyOver(ctx))
		}
	}
}

// heldWithout reports whether somebody holds the name, of which there is no record, and
// it has to be asked again: a launch has just begun. If nobody launches, that is
// ErrHeld: the pod may run, and its record have been deleted. err is why nothing runs.
func (n *attempt) heldWithout(ctx context.Context, place *ownership.Place, err error) (again bool, _ error) {
	if !errors.Is(err, ownership.ErrNoRecord) {
		return false, nil
	}
	held, err := place.HeldWithoutRecord(ctx)
	switch {
	case err != nil:
		return false, err
	case held == nil:
		return false, nil
	case held.Launching:
		return true, nil
	}
	return false, fmt.Errorf("%w: %w", ErrHeld, held)
}

// openPlace is place, but a base that does not exist is a pod that does not.
func (n *attempt) openPlace(ctx context.Context) (*ownership.Place, error) {
	place, err := n.place(ctx, n.spec.Name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("no such pod runs: %w", err)
	}
	return place, err
}

// running is Place.Running, with what is recorded noted for an error.
func (n *attempt) running(place *ownership.Place) (ownership.Record, error) {
	r, err := place.Running()
	n.note(func(e *Error) { e.PID, e.LogPath = r.PID, r.Log })
	return r, err
}
