package launcher

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"time"

	"github.com/podlaunch/podlaunch/launcher/internal/osproc"
	"github.com/podlaunch/podlaunch/launcher/internal/ownership"
	"github.com/podlaunch/podlaunch/runtimedir"
)

// Attach returns the pod called name, which somebody else has launched: an
// earlier run of this program, for instance. If the pod is just being launched,
// Attach waits until it is ready or given up, within ctx and Launcher.Timeout.
//
// Attach proves that the process is the recorded one: by its pidfd, its start time, the
// boot of the machine and the pid namespace; on Windows by the time of its creation. It
// does not connect to the pod. The pod may hang, or another process may answer in its
// place, as on a socket that a third process has bound; the pod can still be stopped.
// [Pod.Verify] checks who answers. A [Pod] from Attach can do everything that a [Pod] can
// do, although this program is not the parent of the process. It reports how the process
// ended where the kernel tells, otherwise the end is unknown ([Exit.Known]).
//
// Attach fails with an [*Error] of [StageOwn]. errors.Is finds [fs.ErrNotExist] in it if
// no such pod runs, and only then (os.IsNotExist does not: it does not look into an error
// that wraps another). It finds [ErrNotOurs] if the recorded pid belongs to another
// process by now, [ErrHeld] if there is no record and processes hold the name, and
// [errors.ErrUnsupported] on all systems but Linux and Windows. Any other error means that Attach
// cannot find out whether the pod runs. Attach makes nothing. Exception: a Launcher.Dir
// that cannot tell its base makes the pod's directory.
func (l *Launcher) Attach(ctx context.Context, name string) (*Pod, error) {
	n := newLaunch(l, opAttach, Spec{Name: name})
	ctx, release := n.bound(ctx)
	defer release()
	if err := n.checkAsked(); err != nil {
		return nil, n.logged(err)
	}
	pod, err := n.guarded(ctx, n.attach)
	if err != nil {
		return nil, n.logged(err)
	}
	n.log.Info("attached", "pid", pod.PID(), "endpoint", pod.Endpoint().String(), "took", time.Since(n.began))
	return pod, nil
}

// checkAsked refuses what cannot be asked of a name that exists already.
func (n *attempt) checkAsked() error {
	if !osproc.Supported {
		return n.failure(StageOwn, fmt.Errorf("%s on this system: %w", n.op, errors.ErrUnsupported))
	}
	err := n.checkNamed(n.op)
	if err == nil {
		err = runtimedir.ValidateName(n.spec.Name)
	}
	if err != nil {
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
			if !errors.Is(err, fs.ErrNotExist) {
				return pod, err
			}
			if _, over := receive(ctx.Done(), delay); over {
				return nil, err
			}
			continue // it has ended meanwhile, and may have a successor
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
		if _, over := receive(ctx.Done(), delay); over {
			return nil, fmt.Errorf("it is being launched: %w", whyOver(ctx))
		}
	}
}

// heldWithout reports whether the caller has to ask again for a name that is held without
// a record: a launch has just begun. If processes hold the name and none of them
// launches, the error is ErrHeld: the pod may run, and somebody may have deleted its
// record. err is why nothing runs.
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
