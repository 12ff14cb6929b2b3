package launcher

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"time"

	"github.com/podlaunch/podlaunch/launcher/internal/ownership"
	"github.com/podlaunch/podlaunch/launcher/internal/unixproc"
	"github.com/podlaunch/podlaunch/readiness"
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
// by now, or a stranger answers on the socket; [errors.ErrUnsupported] if
// Launcher.Dir has no base, and on all systems but Linux.
func (l *Launcher) Attach(ctx context.Context, name string) (*Pod, error) {
	n := newLaunch(l, Spec{Name: name})
	n.stage.Store(StageOwn)
	ctx, cancel := n.bound(ctx)
	defer cancel()
	if !unixproc.Supported {
		return nil, n.fail(fmt.Errorf("attach on this system: %w", errors.ErrUnsupported))
	}
	if err := runtimedir.ValidateName(name); err != nil {
		return nil, n.fail(err)
	}
	pod, err := n.attachWithin(ctx, n.attach)
	if err != nil {
		return nil, n.fail(err)
	}
	n.log.Info("attached", "pid", pod.PID(), "endpoint", pod.Endpoint().String(), "took", time.Since(n.began))
	return pod, nil
}

// Ensure returns the pod that spec names: the one that runs, or else one that
// it launches. started says which. However many ask at once, in this program
// and in others, they all get the same pod, or an error.
//
// What runs is not compared with spec: Ensure cares that the pod is there, not
// how it was started. spec has to be valid all the same.
//
// The errors are those of [Launcher.Launch] and [Launcher.Attach], but for
// [ErrRunning].
func (l *Launcher) Ensure(ctx context.Context, spec Spec) (p *Pod, started bool, err error) {
	n := newLaunch(l, spec)
	ctx, cancel := n.bound(ctx)
	defer cancel()
	if err := n.check(ctx); err != nil {
		return nil, false, n.fail(err)
	}
	for {
		// Attaching first costs a running pod next to nothing; launching first
		// would touch its directory.
		p, err := l.attachNow(ctx, spec.Name)
		if err == nil || !errors.Is(err, fs.ErrNotExist) {
			return p, false, err
		}
		p, err = l.Launch(ctx, spec)
		if err == nil || !errors.Is(err, ErrRunning) {
			return p, err == nil, err
		}
		// Somebody was faster; or it has ended just now, and then it is our turn.
		if ctx.Err() != nil {
			return nil, false, err
		}
	}
}

// attachNow is Attach, but does not wait for a launch that is going on.
func (l *Launcher) attachNow(ctx context.Context, name string) (*Pod, error) {
	n := newLaunch(l, Spec{Name: name})
	n.stage.Store(StageOwn)
	pod, err := n.attachWithin(ctx, n.attachOnce)
	if err != nil {
		return nil, n.fail(err)
	}
	return pod, nil
}

// attachWithin attaches by f, but does not wait much longer than ctx for a
// filesystem that does not answer.
func (n *launch) attachWithin(ctx context.Context, f func(context.Context) (*Pod, ownership.Record, error)) (*Pod, error) {
	attaching := spawn(func() (*Pod, error) {
		pod, r, err := f(ctx)
		if err != nil {
			return nil, &Error{Stage: StageOwn, PID: r.PID, LogPath: r.Log, Err: err}
		}
		return pod, nil
	})
	attached, ok := within(ctx, patience, attaching)
	if !ok {
		go func() { // ends with f
			if late := <-attaching; late.value != nil {
				late.value.Release()
			}
		}()
		return nil, &Error{Stage: StageOwn, Err: ended(ctx),
			Leftover: errors.New("attaching to the pod has not returned; what it still makes is cleared when it does")}
	}
	if attached.crash != nil {
		attached.crash.resume()
	}
	return attached.value, attached.err
}

// attachOnce is attach, but does not wait for a launch that is going on.
func (n *launch) attachOnce(ctx context.Context) (*Pod, ownership.Record, error) {
	place, err := n.openPlace(ctx, n.spec.Name)
	if err != nil {
		return nil, ownership.Record{}, err
	}
	defer place.Close()
	record, err := place.Running()
	if err != nil {
		return nil, record, notRunning(record, err, true)
	}
	pod, err := n.adopt(ctx, record)
	return pod, record, err
}

// openPlace is place, but a base that does not exist is a pod that does not.
func (n *launch) openPlace(ctx context.Context, name string) (*ownership.Place, error) {
	place, err := n.place(ctx, name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("no such pod runs: %w", err)
	}
	return place, err
}

// attach waits until the pod runs and attaches to it.
func (n *launch) attach(ctx context.Context) (*Pod, ownership.Record, error) {
	place, err := n.openPlace(ctx, n.spec.Name)
	if err != nil {
		return nil, ownership.Record{}, err
	}
	defer place.Close()
	for delay := time.Millisecond; ; delay = min(2*delay, 50*time.Millisecond) {
		// In this order: a launch that ends between the two looks has left its
		// verdict by then.
		launching, err := place.Launching()
		if err != nil {
			return nil, ownership.Record{}, err
		}
		record, err := place.Running()
		if err == nil {
			pod, err := n.adopt(ctx, record)
			return pod, record, err
		}
		if !launching {
			return nil, record, notRunning(record, err, false)
		}
		timer := time.NewTimer(delay)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return nil, record, fmt.Errorf("it is being launched: %w", ended(ctx))
		}
	}
}

// notRunning says what it means that a pod does not run, for the reason that
// Place.Running gave. A process that was not ready and whose launcher has died
// is as good as gone: the next launch ends it.
func notRunning(r ownership.Record, err error, strangerIsGone bool) error {
	switch {
	case errors.Is(err, unixproc.ErrStranger) && !strangerIsGone:
		return fmt.Errorf("%w: %w", ErrNotOurs, err)
	case errors.Is(err, unixproc.ErrElsewhere) && !strangerIsGone:
	case errors.Is(err, ownership.ErrNoRecord), errors.Is(err, ownership.ErrNotReady),
		errors.Is(err, unixproc.ErrGone), errors.Is(err, unixproc.ErrStranger), errors.Is(err, unixproc.ErrElsewhere):
		return fmt.Errorf("no such pod runs (%w): %w", err, fs.ErrNotExist)
	}
	return err
}

// adopt returns the Pod of the process that r proves.
func (n *launch) adopt(ctx context.Context, r ownership.Record) (*Pod, error) {
	target := readiness.Target{Name: r.Name, RuntimeDir: r.Dir, PID: r.PID, Endpoint: endpoint(r)}
	if err := readiness.Verify(ctx, n.Ready, target); errors.Is(err, readiness.ErrForeignPeer) {
		return nil, fmt.Errorf("%w: %w", ErrNotOurs, err)
	}
	process, err := n.adoptProcess(ctx, r)
	if err != nil {
		return nil, notRunning(r, err, false)
	}
	p := newPod(podConfig{name: r.Name, dir: r.Dir, logPath: r.Log, ready: n.Ready, grace: n.Grace, log: n.log}, process)
	logFile, _ := os.Stat(r.Log)
	p.keep(endpoint(r), logFile, nil)
	return p, nil
}

// adoptProcess returns the process of r, which is not this program's child.
func (n *launch) adoptProcess(ctx context.Context, r ownership.Record) (Process, error) {
	if !r.Elsewhere {
		return adoptProcess(r.Identity)
	}
	finder, ok := n.Starter.(Finder)
	if !ok {
		return nil, errors.ErrUnsupported // Place.Running has said so before
	}
	return found{ctx, finder}.process(r)
}
