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
// the boot of the machine and the pid namespace; and if somebody answers on its
// socket, that it is the pod who does, as the launcher's probe would ask. A
// socket that does not answer is no reason to fail: such a pod can still be
// stopped. Everything that a [Pod] can do, it can do without being the parent
// of the process; how the process ended is told where the kernel tells it, else
// it is unknown ([Exit.Known]).
//
// Attach fails with an [*Error] of [StageOwn]. errors.Is finds [fs.ErrNotExist]
// in it if no such pod runs; [ErrNotOurs] if the recorded pid is a stranger's
// by now, or a stranger answers on the socket; [errors.ErrUnsupported] on all
// systems but Linux. Attach makes nothing. Exception: a Launcher.Dir that cannot tell
// its base makes the pod's directory.
func (l *Launcher) Attach(ctx context.Context, name string) (*Pod, error) {
	n := newLaunch(l, Spec{Name: name})
	ctx, release := n.bound(ctx)
	defer release()
	if !unixproc.Supported {
		return nil, n.logged(n.failure(StageOwn, fmt.Errorf("attach on this system: %w", errors.ErrUnsupported)))
	}
	if err := runtimedir.ValidateName(name); err != nil {
		return nil, n.logged(n.failure(StageOwn, err))
	}
	pod, err := n.attachWithin(ctx, n.attach)
	if err != nil {
		return nil, n.logged(err)
	}
	n.log.Info("attached", "pid", pod.PID(), "endpoint", pod.Endpoint().String(), "took", time.Since(n.began))
	return pod, nil
}

// attachWithin attaches by f, but does not wait much longer than ctx for what
// hangs. Its error is an *Error.
func (n *attempt) attachWithin(ctx context.Context, f func(context.Context) (*Pod, error)) (*Pod, error) {
	attaching := spawn(func() (*Pod, error) { return f(ctx) })
	o, ok := within(ctx, patience, attaching)
	switch {
	case !ok:
		go func() { // ends with f
			if late := <-attaching; late.value != nil {
				late.value.Release()
			}
		}()
		e := n.failure(StageOwn, whyOver(ctx))
		e.Leftover = errors.New("attaching to the pod has not returned; what it still makes is cleared when it does")
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
	return n.adopt(ctx, record)
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
			pod, err := n.adopt(ctx, record)
			if errors.Is(err, fs.ErrNotExist) && ctx.Err() == nil {
				continue // it has ended meanwhile, and may have a successor
			}
			return pod, err
		}
		if !launching {
			return nil, notRunning(err, false)
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
