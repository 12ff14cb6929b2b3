package launcher

import (
	"context"
	"errors"
	"io/fs"
	"time"

	"github.com/podlaunch/podlaunch/launcher/internal/osproc"
)

// Ensure returns the pod that spec names. If no such pod runs, Ensure launches it.
// started reports whether it did. Any number of callers may ask at once, in this program
// and in others: they all get the same pod, or an error.
//
// Ensure does not compare the running pod with spec: it cares that the pod is there, not
// how it was started ([Pod.Differs] compares them). spec has to be valid all the same.
// Ensure also returns a pod on whose socket nobody answers; that pod can be stopped.
//
// The errors are those of [Launcher.Launch] and [Launcher.Attach], without [ErrRunning];
// and [ErrNotOurs] if the pod runs and somebody else answers on its socket.
// Launcher.Timeout bounds Ensure as a whole. A pod may ask for more time, up to
// Launcher.MaxTimeout, as in a launch.
func (l *Launcher) Ensure(ctx context.Context, spec Spec) (p *Pod, started bool, err error) {
	n := newLaunch(l, opEnsure, spec)
	ctx, release := n.bound(ctx)
	defer release()
	if err := n.check(ctx); err != nil {
		return nil, false, n.logged(err)
	}
	for delay := time.Millisecond; ; delay = min(2*delay, 50*time.Millisecond) {
		// Attaching first costs a running pod next to nothing; launching first
		// would claim its name.
		attaching := newLaunch(l, opEnsure, Spec{Name: spec.Name})
		p, err := attaching.guarded(ctx, attaching.attachToOurs)
		if err == nil {
			return p, false, nil
		}
		if !errors.Is(err, fs.ErrNotExist) {
			return nil, false, attaching.logged(err)
		}
		launching := newLaunch(l, opEnsure, spec)
		launching.deadline = n.deadline // a pod that asks for more time has it from Ensure
		p, err = launching.launch(ctx)
		if err == nil || !errors.Is(err, ErrRunning) {
			return p, err == nil, err
		}
		// Another launch was faster; or its pod has ended just now, and then it is
		// our turn.
		if _, over := receive(ctx.Done(), delay); over {
			return nil, false, err
		}
	}
}

// attachToOurs is attachOnce, and makes sure that no stranger answers on the pod's
// socket.
func (n *attempt) attachToOurs(ctx context.Context) (*Pod, error) {
	pod, err := n.attachOnce(ctx)
	if err != nil {
		return nil, err
	}
	ours := false
	defer func() {
		if !ours { // also if the probe panics
			pod.Release()
		}
	}()
	if err = pod.verify(ctx); !errors.Is(err, ErrNotOurs) {
		ours = true
		return pod, nil
	}
	if pod.hasExited() { // and its successor answers
		return nil, notRunning(osproc.ErrGone, true)
	}
	return nil, err
}
