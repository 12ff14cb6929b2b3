package launcher

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"os"
	"time"

	"github.com/podlaunch/podlaunch/launcher/internal/unixproc"
	"github.com/podlaunch/podlaunch/logsource"
	"github.com/podlaunch/podlaunch/readiness"
)

// await waits until the pod of s is ready, and returns it, or clears it away
// and returns why.
func (n *launch) await(ctx context.Context, s *started) (*Pod, error) {
	defer s.closeWithin()
	began := time.Now()
	w := n.waitUntilReady(ctx, s)
	if !w.ready {
		e := n.failure(ctx, s, w, StageReady)
		n.step(StageReady, "probe", began, e.Err)
		n.clear(s, e)
		return nil, e
	}
	n.step(StageReady, "probe", began, nil)

	began = time.Now()
	final, err := n.settle(ctx, s, w.probed.value)
	n.step(StageOwn, "record", began, err)
	if err != nil {
		w.probed.err = err
		e := n.failure(ctx, s, w, StageOwn)
		n.clear(s, e)
		return nil, e
	}
	s.pod.keep(w.probed.value, final.file, final.closing)
	if dropped := w.watching.dropped(); dropped > 0 {
		n.log.Warn("the progress callback was too slow", "lines", dropped)
	}
	return s.pod, nil
}

// A waited is how the wait for readiness has ended.
//
// The verdicts, in the order in which they win (see rule "ready, exited,
// cancelled, out of time" in the package's documentation): the whole probe has
// returned an endpoint and the process is alive; the probe has a verdict of
// its own; the process has exited; ctx is done.
type waited struct {
	ready    bool
	exited   bool // the process has
	joined   bool // the probe has returned
	probed   outcome[readiness.Endpoint]
	watching *watch
}

// waitUntilReady returns when the probe has returned, or there is no more use in
// waiting for it. What has panicked meanwhile goes on here.
func (n *launch) waitUntilReady(ctx context.Context, s *started) waited {
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
	w := waited{watching: n.watch(ctx, s, target)}

	crashed := false
	wait := patience
	select {
	case w.probed = <-probing:
		w.joined = true
	case <-s.pod.exited:
		// The pod's last word may be behind all that it has written before, and the
		// probe not have come to that.
		wait = drainPatience
		end(ErrExitedEarly)
	case <-w.watching.crashed:
		crashed = true
		end(context.Canceled)
	case <-ctx.Done():
	}
	if !w.joined {
		w.probed, w.joined = receive(probing, wait)
	}

	w.exited = s.pod.hasExited()
	w.ready = w.joined && !crashed && w.probed.crash == nil && w.probed.err == nil && !w.exited
	w.watching.finish(w.ready, w.exited)
	if c := w.watching.crash(w.probed.crash); c != nil {
		n.log.Error("a callback panicked; the pod is ended", "panic", c.value, "stack", string(c.stack))
		if _, err := s.end(); err != nil {
			n.log.Error("not cleared", "error", err)
		}
		c.resume()
	}
	return w
}

// failure says why the launch has failed, in stage, and all that may explain it.
func (n *launch) failure(ctx context.Context, s *started, w waited, stage Stage) *Error {
	e := &Error{
		Stage:   stage,
		Command: redact(s.command, n.spec.Overlay),
		PID:     s.pod.PID(),
		LogPath: s.log.Path,
		Tail:    w.watching.tail.lines(),
		Dropped: w.watching.dropped(),
		Notes:   notes(s, w.watching, w.exited),
	}
	e.Pending, e.Err = verdict(ctx, w.probed.err, w.joined, w.exited)
	switch {
	case w.exited && s.pod.waitErr == nil:
		exit := s.pod.exit
		e.Exit = &exit
	case w.exited && errors.Is(e.Err, ErrExitedEarly):
		e.Err = fmt.Errorf("the process cannot be watched any more: %w", s.pod.waitErr)
	}
	e.Leftover = w.watching.leftover()
	if !w.joined {
		e.Leftover = errors.Join(e.Leftover, fmt.Errorf("the probe (%s) has not returned", readiness.Describe(n.Ready)))
	}
	return e
}

// clear ends the process of a launch that has failed, gives its name back, and
// adds to e what was found and what is left.
func (n *launch) clear(s *started, e *Error) {
	began := time.Now()
	ended, err := s.end()
	n.step(e.Stage, "clear", began, err)
	e.Notes = append(e.Notes, ended...)
	e.Leftover = errors.Join(e.Leftover, err, s.closeWithin())
}

// A finalLog is the log of a pod that is ready: what its path leads to, and what is
// closed when the launch does not have it open any more.
type finalLog struct {
	file    os.FileInfo
	closing <-chan struct{}
}

// settle has the name left to the pod, which is ready at e, and closes what a running
// pod does not need. A filesystem that does not answer ends with the launch's time,
// like a strategy; s.end sees to what comes of it.
//
// The log is closed in a goroutine, and the launch is over before it has ended: it
// takes a tenth of the time between the ready line and the return to tell the kernel
// that nobody watches the log any more. The pod's end waits for it (Pod.follow).
func (n *launch) settle(ctx context.Context, s *started, e readiness.Endpoint) (finalLog, error) {
	s.closed = true // by this goroutine, which all of it has to itself
	settling := spawn(func() (finalLog, error) {
		if err := s.settle(e); err != nil {
			s.close()
			return finalLog{}, err
		}
		closing := make(chan struct{})
		go func() {
			defer close(closing)
			s.closeLog()
		}()
		file, _ := os.Stat(s.log.Path)
		s.closeSetup() // last, for it is the probe's, and may panic
		return finalLog{file, closing}, nil
	})
	settled, ok := within(ctx, patience, settling)
	switch {
	case !ok:
		s.settling = settling
		return finalLog{}, fmt.Errorf("record that the pod is ready: the filesystem does not answer: %w", ended(ctx))
	case settled.crash != nil:
		settled.crash.resume()
	}
	return settled.value, settled.err
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
	full, ok := receive(spawn(func() (bool, error) { return unixproc.IsFull(s.log.Path), nil }), patience)
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
