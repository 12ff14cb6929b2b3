package launcher

import (
	"context"
	"errors"
)

// watched runs steps in the launch's worker, for a strategy or a filesystem may hang in a
// system call that no context ends, and waits for it as long as that makes sense. A
// panic goes on.
func (n *attempt) watched(ctx context.Context, steps func() (*Pod, error)) (*Pod, error) {
	running := spawnOn(&n.worker, steps)
	o, ok := n.await(ctx, running)
	return n.concluded(ctx, running, o, ok)
}

// concluded returns what has come of steps that run in the launch's worker: o, or, if ok is
// false, that they are not waited for any more.
func (n *attempt) concluded(ctx context.Context, running <-chan outcome[*Pod], o outcome[*Pod], ok bool) (*Pod, error) {
	if !ok || o.crash != nil {
		n.worker.leave() // it hangs, or has ended (runtime.Goexit)
	}
	switch {
	case !ok && n.fate.CompareAndSwap(fateOpen, fateGivenUp):
		go n.late(running)
		return nil, stuckError{n.stuck(ctx)}
	case !ok:
		go n.late(running)
		n.log.Warn("the pod is ready, and what only its launch needed is not cleared yet", "pid", n.pod.PID())
		return n.pod, nil
	case o.crash != nil:
		o.crash.pass()
	}
	return o.value, o.err
}

// late waits for steps that were not waited for any more, and undoes what was made. It
// ends with them.
func (n *attempt) late(running <-chan outcome[*Pod]) {
	o := <-running
	if o.crash != nil {
		n.logLate(o.crash)
	}
	switch {
	case n.fate.Load() == fateReady:
		n.log.Debug("cleared away what only the launch needed")
	case n.pod != nil:
		n.log.Warn("the pod was recorded as ready after its launch was given up on, and stays", "pid", n.pod.PID())
		n.pod.Release() // nobody has it
	default:
		c, left := n.made.undo()
		if c != nil {
			n.logLate(c)
		}
		n.log.Warn("cleared away what a late launch had made", "error", errors.Join(o.err, left))
	}
}

// await waits for the outcome of steps. It is the one watchdog against a strategy,
// or a filesystem, that hangs: if ctx is done and they have not left a step for as long
// as patience, ok is false. What is unhurried may hold up a launch: the Observer is no
// strategy.
func (n *attempt) await(ctx context.Context, running <-chan outcome[*Pod]) (o outcome[*Pod], ok bool) {
	select {
	case o = <-running:
		return o, true
	case <-ctx.Done():
	}
	for {
		at, hurried := n.at.Load(), n.hurried.Load()
		o, ok = receive(running, patience)
		if ok || n.unhurried.Load() == 0 && n.hurried.Load() == hurried && n.at.Load() == at {
			return o, ok
		}
	}
}
