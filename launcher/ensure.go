package launcher

import (
	"context"
	"errors"
	"io/fs"
)

// Ensure returns the pod that spec names: the one that runs, or else one that
// it launches. started says which. However many ask at once, in this program
// and in others, they all get the same pod, or an error.
//
// What runs is not compared with spec: Ensure cares that the pod is there, not
// how it was started ([Pod.Differs] compares). spec has to be valid all the same.
//
// The errors are those of [Launcher.Launch] and [Launcher.Attach], without
// [ErrRunning]. Launcher.Timeout bounds Ensure as a whole. A pod may ask for more
// time, up to Launcher.MaxTimeout, as in a launch.
func (l *Launcher) Ensure(ctx context.Context, spec Spec) (p *Pod, started bool, err error) {
	n := newLaunch(l, spec)
	ctx, release := n.bound(ctx)
	defer release()
	if err := n.check(ctx); err != nil {
		return nil, false, n.logged(err)
	}
	for {
		// Attaching first costs a running pod next to nothing; launching first
		// would claim its name.
		attaching := newLaunch(l, Spec{Name: spec.Name})
		p, err := attaching.attachWithin(ctx, attaching.attachOnce)
		if err == nil {
			return p, false, nil
		}
		if !errors.Is(err, fs.ErrNotExist) {
			return nil, false, attaching.logged(err)
		}
		launching := newLaunch(l, spec)
		launching.deadline = n.deadline // a pod that asks for more time has it from Ensure
		p, err = launching.launch(ctx)
		if err == nil || !errors.Is(err, ErrRunning) {
			return p, err == nil, err
		}
		// Another launch was faster; or its pod has ended just now, and then it is
		// our turn.
		if ctx.Err() != nil {
			return nil, false, err
		}
	}
}
