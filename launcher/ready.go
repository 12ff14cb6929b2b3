package launcher

import (
	"cmp"
	"context"
	"errors"
	"fmt"

	"github.com/podlaunch/podlaunch/launcher/internal/unixproc"
	"github.com/podlaunch/podlaunch/logsource"
	"github.com/podlaunch/podlaunch/readiness"
)

// awaitReady waits until the pod is ready, and returns where, or an ownError with
// all that explains why it is not.
//
// The verdicts, in the order in which they win (see rule "ready, exited,
// cancelled, out of time" in the package's documentation): the whole probe has
// returned an endpoint and the process is alive; the probe has a verdict of
// its own; the process has exited; ctx is done.
//
// A panic of the probe or of Spec.Progress goes on.
func (n *attempt) awaitReady(ctx context.Context, p *plan, pod *Pod) (readiness.Endpoint, error) {
	target := readiness.Target{
		Name:       n.spec.Name,
		RuntimeDir: p.dir,
		WorkDir:    p.workDir,
		PID:        pod.PID(),
		Lines:      linesOf(p.log),
	}
	// Once it is over, the probe's context ends with the reason. Its lines then
	// still deliver what the log holds, and so a last word of the pod counts.
	probeCtx, end := context.WithCancelCause(ctx)
	defer end(nil)
	probing := spawn(func() (readiness.Endpoint, error) { return p.probe.Wait(probeCtx, target) })
	out := followOutput(ctx, p.log, p.probe.Probe, target, p.probe.progress)

	w := waited{output: out}
	crashed := false
	wait := patience
	select {
	case w.probed = <-probing:
		w.joined = true
	case <-pod.exited:
		// The pod's last word may be behind all that it has written before, and the
		// probe not have come to that.
		wait = drainPatience
		end(ErrExitedEarly)
	case <-out.progress.crashed:
		crashed = true
		end(context.Canceled)
	case <-ctx.Done():
	}
	if !w.joined {
		w.probed, w.joined = receive(probing, wait)
	}
	w.exited = pod.hasExited()
	ready := w.joined && !crashed && w.probed.crash == nil && w.probed.err == nil && !w.exited
	out.finish(ready, w.exited)
	if c := cmp.Or(w.probed.crash, out.progress.crash); c != nil {
		c.pass()
	}
	if !ready {
		return readiness.Endpoint{}, ownError{n.unready(ctx, p.log, pod, w)}
	}
	if dropped := out.dropped(); dropped > 0 {
		n.log.Warn("the progress callback was too slow", "lines", dropped)
	}
	return w.probed.value, nil
}

// A waited is how the wait for readiness has ended.
type waited struct {
	exited bool // the process has
	joined bool // the probe has returned
	probed outcome[readiness.Endpoint]
	output *podOutput
}

// unready says why the pod is not ready, and all that may explain it.
func (n *attempt) unready(ctx context.Context, log *logsource.Log, pod *Pod, w waited) *Error {
	pending, why := verdict(ctx, w.probed.err, w.joined, w.exited)
	e := n.failure(StageReady, why)
	e.Pending = pending
	e.Tail = w.output.tail.lines()
	e.Dropped = w.output.dropped()
	e.Notes = clues(log, pod, w)
	if errors.Is(why, ErrExitedEarly) && n.mayHaveReadEnd(pod) {
		e.Notes = append(e.Notes, "its stdin is the null device, and some programs exit when their stdin ends (Spec.Stdin, Spec.StdinOpen)")
	}
	switch {
	case w.exited && pod.waitErr == nil:
		exit := pod.exit
		e.Exit = &exit
	case w.exited && errors.Is(e.Err, ErrExitedEarly):
		e.Err = fmt.Errorf("the process cannot be watched any more: %w", pod.waitErr)
	}
	e.Leftover = w.output.leftover()
	if !w.joined {
		e.Leftover = errors.Join(e.Leftover, fmt.Errorf("the probe (%s) has not returned", readiness.Describe(n.Ready)))
	}
	return e
}

// verdict says why a launch failed, and what the probe was still waiting for.
// joined says whether the probe has returned, and then it did with err.
func verdict(ctx context.Context, err error, joined, exited bool) (pending string, reason error) {
	var p *readiness.PendingError
	if errors.As(err, &p) && (!exited || p.Tried()) {
		pending = p.Pending()
	}
	consequence := err == nil || !joined || errors.Is(err, ErrExitedEarly) ||
		ctx.Err() != nil && (errors.Is(err, context.Cause(ctx)) || errors.Is(err, ctx.Err()))
	switch {
	case !consequence && ctx.Err() != nil && !exited:
		// It came when the time was over, and may be no more than what the
		// probe made of that.
		return pending, fmt.Errorf("%w; %w", whyOver(ctx), socketPathError(err))
	case !consequence:
		return pending, socketPathError(err)
	}
	reason = ErrExitedEarly
	if !exited {
		reason = whyOver(ctx)
		if err != nil && p == nil {
			pending = err.Error()
		}
	}
	if p != nil {
		reason = &unready{reason, p.Unwrap()[1:]} // without the cause
	}
	return pending, reason
}

// An unready is the reason why a pod did not become ready, with the last errors
// of the probe, for errors.Is; what it says is in Error.Pending.
type unready struct {
	reason error
	lasts  []error
}

func (u *unready) Error() string   { return u.reason.Error() }
func (u *unready) Unwrap() []error { return append([]error{u.reason}, u.lasts...) }

// mayHaveReadEnd reports whether pod, which has exited, may have done so because it came
// to the end of its standard input.
func (n *attempt) mayHaveReadEnd(pod *Pod) bool {
	return n.spec.Stdin == nil && !n.spec.StdinOpen && pod.waitErr == nil && pod.exit == Exit{Known: true}
}

// clues gathers what may explain why the pod was not ready.
func clues(log *logsource.Log, pod *Pod, w waited) []string {
	var found []string
	if !w.exited {
		if noter, ok := pod.proc.(interface{ notes() []string }); ok {
			found = append(found, noter.notes()...)
		}
		if w.output.tail.total() == 0 && !w.output.announced.Load() {
			found = append(found, "it has written nothing to its log")
		}
	}
	if log.Path == "" {
		return found
	}
	full, ok := receive(spawn(func() (bool, error) { return unixproc.IsFull(log.Path), nil }), patience)
	switch {
	case !ok:
		found = append(found, "the filesystem of its log does not answer")
	case full.value:
		found = append(found, "the filesystem of its log is full, and what it has said since may be lost")
	}
	return found
}
