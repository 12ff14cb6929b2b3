package launcher

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"time"

	"github.com/podlaunch/podlaunch/logsource"
	"github.com/podlaunch/podlaunch/readiness"
)

// await waits until the pod of s is ready, and returns it, or clears it away
// and returns why.
//
// The verdicts, in the order in which they win (see rule "ready, exited,
// cancelled, out of time" in the package's documentation): the whole probe has
// returned an endpoint and the process is alive; the probe has a verdict of
// its own; the process has exited; ctx is done.
func (n *launch) await(ctx context.Context, s *started) (*Pod, error) {
	defer s.close()
	began := time.Now()
	target := readiness.Target{
		Name:       n.spec.Name,
		RuntimeDir: s.dir,
		WorkDir:    s.workDir,
		PID:        s.pod.PID(),
		Lines:      s.lines,
	}

	// Once it is over, the probe's context ends with the reason. Its lines then
	// still deliver what the log holds, and so a last word of the pod counts.
	probeCtx, end := context.WithCancelCause(ctx)
	defer end(nil)
	probing := spawn(func() (readiness.Endpoint, error) { return s.probe.Wait(probeCtx, target) })
	watching := n.watch(ctx, s, target)

	var probed outcome[readiness.Endpoint]
	joined, crashed := false, false
	select {
	case probed = <-probing:
		joined = true
	case <-s.pod.exited:
		end(ErrExitedEarly)
	case <-watching.crashed:
		crashed = true
		end(context.Canceled)
	case <-ctx.Done():
	}
	if !joined {
		probed, joined = receive(probing, patience)
	}

	exited := s.pod.hasExited()
	ready := joined && !crashed && probed.crash == nil && probed.err == nil && !exited
	watching.finish(ready, exited)
	if c := watching.crash(probed.crash); c != nil {
		n.log.Error("a callback panicked; the pod is ended", "panic", c.value, "stack", string(c.stack))
		if _, err := s.end(); err != nil {
			n.log.Error("not cleared", "error", err)
		}
		c.resume()
	}
	stage := StageReady
	if ready {
		n.step(StageReady, "probe", began, nil)
		began = time.Now()
		if probed.err = s.settle(probed.value); probed.err != nil {
			ready, stage = false, StageOwn
		}
		n.step(StageOwn, "record", began, probed.err)
	}
	if ready {
		s.pod.keep(probed.value)
		if dropped := watching.dropped(); dropped > 0 {
			n.log.Warn("the progress callback was too slow", "lines", dropped)
		}
		return s.pod, nil
	}

	e := &Error{
		Stage:   stage,
		Command: redact(s.command, n.spec.Overlay),
		PID:     s.pod.PID(),
		LogPath: s.log.Path,
		Tail:    watching.tail.lines(),
		Dropped: watching.dropped(),
	}
	e.Pending, e.Err = verdict(ctx, probed.err, joined, exited)
	switch {
	case exited && s.pod.waitErr == nil:
		exit := s.pod.exit
		e.Exit = &exit
	case exited && errors.Is(e.Err, ErrExitedEarly):
		e.Err = fmt.Errorf("the process cannot be watched any more: %w", s.pod.waitErr)
	}
	if stage == StageReady {
		n.step(StageReady, "probe", began, e.Err)
	}
	e.Notes = notes(s, watching, exited)
	began = time.Now()
	ended, endErr := s.end()
	n.step(stage, "clear", began, endErr)
	e.Notes = append(e.Notes, ended...)
	leftover := []error{watching.leftover(), endErr}
	if !joined {
		leftover = append(leftover, fmt.Errorf("the probe (%s) has not returned", readiness.Describe(n.Ready)))
	}
	e.Leftover = errors.Join(leftover...)
	return nil, e
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
		return pending, fmt.Errorf("%w; %w", ended(ctx), socketPathError(err))
	case !consequence:
		return pending, socketPathError(err)
	}
	reason = ErrExitedEarly
	if !exited {
		reason = ended(ctx)
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

// notes gathers what may explain why the pod was not ready.
func notes(s *started, w *watch, exited bool) []string {
	var found []string
	if !exited {
		if noter, ok := s.pod.proc.(interface{ notes() []string }); ok {
			found = append(found, noter.notes()...)
		}
		if w.tail.total() == 0 && !w.announced.Load() {
			found = append(found, "it has written nothing to its log")
		}
	}
	if s.log.Path == "" {
		return found
	}
	// A filesystem may hang.
	full, ok := receive(spawn(func() (bool, error) { return isFull(s.log.Path), nil }), patience)
	switch {
	case !ok:
		found = append(found, "the filesystem of its log does not answer")
	case full.value:
		found = append(found, "the filesystem of its log is full, and what it has said since may be lost")
	}
	return found
}

// lines is the pod's Target.Lines.
func (s *started) lines(ctx context.Context) iter.Seq2[[]byte, error] {
	return func(yield func([]byte, error) bool) {
		r, err := s.log.Follow(ctx)
		if err != nil {
			yield(nil, err)
			return
		}
		defer r.Close()
		for line, err := range logsource.Lines(r) {
			switch {
			case err == io.EOF:
				return
			case err != nil:
				yield(nil, err) // what comes with it is not a complete line
				return
			case !yield(line, nil):
				return
			}
		}
	}
}
