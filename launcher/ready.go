package launcher

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"sync/atomic"
	"time"

	"github.com/podlaunch/podlaunch/launcher/internal/osproc"
	"github.com/podlaunch/podlaunch/logsource"
	"github.com/podlaunch/podlaunch/readiness"
)

// awaitReady waits until the pod is ready, and records that. It fails with an ownError
// that has all that explains why the pod is not ready, or with why it could not be
// recorded. The pod is another one than started if a process was adopted.
//
// The verdicts, in the order in which they win (see rule "ready, exited,
// cancelled, out of time" in the package's documentation): the whole probe has
// returned an endpoint and the process is alive, and not about to go; the probe has a
// verdict of its own; the process has exited; ctx is done.
//
// The worker that runs the probe also judges, and records. The caller ends the probe if
// there is a reason to, and judges itself only if the probe panics or does not return.
//
// A panic of the probe or of Spec.Progress goes on.
func (n *attempt) awaitReady(ctx context.Context, p *plan, started *Pod) (*Pod, error) {
	began, err := n.enter(stepProbe)
	if err != nil {
		return nil, err
	}
	started.facts = new(readiness.Facts)
	target := readiness.Target{Name: n.spec.Name, RuntimeDir: p.dir, WorkDir: p.workDir, PID: started.PID(), Facts: started.facts}
	w := waited{began: began, pod: started, succession: n.succession(p.probe, started), probed: new(atomic.Int64)}
	if kin := newKin(w.succession, started); kin != nil {
		target.Kin = kin
	}
	target.Lines = linesOf(p.log, w.probed)
	w.output = newOutput(ctx, p.log, p.probe.Probe, target, p.probe.progress)
	// Once it is over, the probe's context ends with the reason. Its lines then
	// still deliver what the log holds, and so a last word of the pod counts.
	probeCtx, end := context.WithCancelCause(ctx)
	defer end(nil)
	var judged atomic.Bool
	joined := w // the worker's, and w is the caller's
	n.worker.leave()
	running := spawnOn(&n.worker, func() (*Pod, error) {
		growStack(1) // more when it has to judge: this takes all the memory of a pod that is not ready
		joined.wait(probeCtx, p.probe, target)
		if joined.joined = true; judged.Swap(true) {
			return nil, joined.err // nobody waits for it any more
		}
		growStack(2)
		if err := n.judge(ctx, p, &joined); err != nil {
			return nil, err
		}
		return runStep(n, stepRecord, func() (*Pod, error) {
			p.streams.tendLogs()
			return n.settle(ctx, p, joined.pod, joined.endpoint)
		})
	}, n.closeLater)
	w.output.begin()

	o, ok := w.untilProbed(ctx, running, p.streams.panicked(), end)
	if !judged.Swap(true) {
		n.worker.leave()
		w.joined, w.crash = ok, o.crash
		return nil, n.judge(ctx, p, &w)
	}
	if !ok {
		o, ok = n.await(ctx, running)
	}
	return n.concluded(ctx, running, o, ok)
}

// succession returns what has another process adopted in place of that of started; nil if
// nothing does. A launch that fails undoes it.
func (n *attempt) succession(p *prepared, started *Pod) *succession {
	s := newSuccession(p.adopts, started)
	if s != nil {
		s.gently = n.AbortGrace > 0
		n.made.add("a process that was adopted is still watched", func() error { s.undo(); return nil })
	}
	return s
}

// A waited is how the wait for readiness goes, and then how it has ended.
type waited struct {
	began      time.Time
	succession *succession
	output     *podOutput
	probed     *atomic.Int64 // what the probe has read of the log

	joined   bool // the probe has returned, with endpoint or err, or has panicked
	endpoint readiness.Endpoint
	err      error
	crash    *crash

	stayed bool // the process that was started was watched, and does not go to the background
	pod    *Pod // whose process is the first one
	exited bool // the process has, and nothing can take its place
	vacant bool // the process that was started has gone to the background, and nothing has taken its place
}

// wait waits for the probe. If the process that was started is still the pod's first one then,
// wait watches it as stays does. If it goes to the background, the probe has seen another pod
// than there is by now, and wait asks it again: a pid file may name another process.
func (w *waited) wait(ctx context.Context, p *prepared, target readiness.Target) {
	w.endpoint, w.err = p.Wait(ctx, target)
	s := w.succession
	if s == nil || w.err != nil && !errors.Is(w.err, readiness.ErrForeignPeer) || s.now() != s.started {
		return
	}
	w.stayed = stays(ctx, p.word, s.started)
	if !w.stayed && s.isVacant() {
		w.endpoint, w.err = p.Wait(ctx, target)
	}
}

// untilProbed waits for running. If something else ends the wait, it ends the probe's
// context with the reason, by end, and running has a moment more to end.
func (w *waited) untilProbed(ctx context.Context, running <-chan outcome[*Pod], panicked <-chan struct{}, end context.CancelCauseFunc) (o outcome[*Pod], ok bool) {
	wait, exited := patience, w.pod.exited
	if w.succession != nil {
		exited = w.succession.exited
	}
	select {
	case o = <-running:
		return o, true
	case <-exited:
		// The pod's last word may be behind all that it has written before, and the
		// probe not have come to that.
		wait = drainPatience
		end(ErrExitedEarly)
		w.pod.remember()
	case <-w.output.progress.crashed:
		end(context.Canceled)
	case <-panicked:
		end(context.Canceled)
	case <-ctx.Done():
	}
	return receive(running, wait)
}

// judge ends the wait for readiness. It returns nil if the pod is ready, and an ownError
// if it is not.
func (n *attempt) judge(ctx context.Context, p *plan, w *waited) error {
	n.unhurry()
	defer n.hurry()
	ready := w.joined && w.crash == nil && w.err == nil
	if w.succession != nil {
		w.succeed(ctx, ready)
		ready = ready && w.err == nil
		w.vacant = w.vacant && !ready
	}
	ready = ready && (w.stayed || stays(ctx, p.probe.word, w.pod))
	w.exited = !w.vacant && (w.pod.hasEnded() || (w.stayed || !ready) && w.pod.hasExited())
	ready = ready && !w.exited
	w.output.finish(ready, w.exited)
	if c := cmp.Or(w.crash, w.output.progress.crash, p.streams.taken()); c != nil {
		c.pass()
	}
	var err error
	if !ready {
		err = ownError{n.unready(ctx, p.log, w.pod, *w)}
	}
	n.leave(stepProbe, w.began, err)
	if err != nil {
		return err
	}
	if dropped := w.output.dropped(); dropped > 0 {
		n.log.Warn("the progress callback was too slow", "lines", dropped)
	}
	w.pod.readTo = w.output.readTo(w.probed.Load())
	return nil
}

// succeed ends the search for the process that takes the place of the first one. It reads
// /proc, which takes as long as there are processes, and a process may keep that from being
// read. If the pod is ready otherwise, there is time until ctx is done.
func (w *waited) succeed(ctx context.Context, ready bool) {
	s, began := w.succession, time.Now()
	found := spawn(func() (*Pod, error) { return s.end(), nil })
	var o outcome[*Pod]
	var ok bool
	if ready {
		o, ok = within(ctx, patience, found)
	} else {
		o, ok = receive(found, patience)
	}
	if ok {
		w.pod, w.vacant = o.value, s.lost.Load() == nil && s.isVacant()
	} else if w.err == nil {
		w.err = fmt.Errorf("find out which process is the pod's first one: /proc has not answered within %v", round(time.Since(began)))
	}
}

// unready says why the pod is not ready, and all that may explain it.
func (n *attempt) unready(ctx context.Context, log *logsource.Log, pod *Pod, w waited) *Error {
	if w.exited {
		receive(pod.remember(), patience)
	}
	pending, why := verdict(ctx, w.err, w.joined, w.exited)
	e := n.failure(StageReady, why)
	e.Pending, e.PID = pending, pod.PID()
	w.output.explain(e)
	e.Dropped = w.output.dropped()
	e.Notes = clues(log, pod, w)
	e.Notes = append(e.Notes, n.hints(pod, w, why, e.Notes)...)
	if lost := w.output.lost.Load(); lost > 0 {
		e.Notes = append(e.Notes, fmt.Sprintf("%d bytes of its log, before its last lines, were freed (logsource.File.Keep)", lost))
	}
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
	if errors.Is(err, errDaemonEnded) && !exited {
		return "", err
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
		if err != nil && p == nil && err.Error() != context.Cause(ctx).Error() {
			pending = err.Error() // more than that the time is over
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

// hints returns what else was seen of pod that may explain why it is not ready, which is
// why. known are the notes that there are already.
func (n *attempt) hints(pod *Pod, w waited, why error, known []string) []string {
	var found []string
	switch announced := w.output.announced.Load(); {
	case announced && errors.Is(why, ErrExitedEarly):
		found = append(found, afterReadyNote)
	case !announced && errors.Is(why, ErrExitedEarly):
		found = append(w.output.missed.list(), n.stdoutOfExited(w.output)...)
	case !announced && (errors.Is(why, ErrTimeout) || errors.Is(why, context.Canceled)):
		found = append(w.output.missed.list(), n.stdoutOfWaiting(pod, w.output)...)
	}
	if w.exited && pod.waitErr == nil {
		found = append(found, shellNotes(pod.exit)...)
		found = append(found, hangupNotes(pod.exit, n.Ready)...)
	}
	c, ours := pod.proc.(child)
	if !ours {
		return found
	}
	if note := c.memory.Note(); note != "" && !slices.ContainsFunc(known, isAboutMemory) {
		found = append(found, note)
	}
	around, _ := inspect(w.output, "its directories were not looked at", func() []string { return surroundings(n.Ready, w.output.target) })
	return append(found, around...)
}

// clues gathers what may explain why the pod was not ready.
func clues(log *logsource.Log, pod *Pod, w waited) []string {
	var found []string
	if c, ours := pod.proc.(child); ours {
		found = c.notes(w.exited)
	}
	switch {
	case w.succession != nil && w.exited && w.succession.empty:
		found = append(found, emptyNote)
	case w.succession != nil && w.exited && w.joined && w.err == nil && w.crash == nil && w.succession.wentWell():
		found = append(found, unnamedNote)
	case w.exited && pod.waitErr == nil && pod.exit == (Exit{Known: true}):
		found = append(found, backgroundNote)
	}
	if w.vacant {
		found = append(found, vacantNote)
	}
	if !w.exited && w.output.tail.total() == 0 && !w.output.announced.Load() && !errors.Is(w.err, errDaemonEnded) {
		found = append(found, "it has written nothing to its log")
	}
	if log.Path == "" {
		return found
	}
	full, ok := inspect(w.output, "whether the filesystem of its log is full was not found out", func() bool { return osproc.IsFull(log.Path) })
	switch {
	case !ok:
		found = append(found, "the filesystem of its log does not answer")
	case full:
		found = append(found, "the filesystem of its log is full, and what it has said since may be lost")
	}
	return found
}
