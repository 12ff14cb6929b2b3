package launcher

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"syscall"
	"time"

	"github.com/podlaunch/podlaunch/launcher/internal/ownership"
	"github.com/podlaunch/podlaunch/launcher/internal/unixproc"
)

// Stop ends the pod and all that belongs to it, as [Spec.KillMode] says, and returns nil
// when nobody is left, or if nobody was there any more.
//
// They get [Spec.StopSignal] (and SIGCONT, for a stopped process would
// not notice). Whoever is still there after [Launcher.Grace] gets
// SIGKILL. The grace is for all of them, not for the first process alone.
// Stop may be called any number of times and from anywhere: there is one
// stop signal and one grace.
//
// Once ctx is done Stop returns an error wrapping context.Cause(ctx). The pod
// has been sent what it was due by then, and nothing more follows until
// somebody calls Stop again. Exception: once the first process has gone, the others get
// SIGKILL when the grace is over. An error that wraps something else says why the
// pod could not be signalled, or who is left of it.
func (p *Pod) Stop(ctx context.Context) error { return p.named("stop", p.stop(ctx, false)) }

// Kill is [Pod.Stop] without a grace: who belongs to the pod gets SIGKILL at once, also
// if it has its grace just now.
func (p *Pod) Kill(ctx context.Context) error { return p.named("kill", p.stop(ctx, true)) }

// StopWith has the pod stopped, as by [Pod.Stop], when ctx ends. It returns at once. What
// becomes of that is logged. It ends with the pod, and does nothing for one that was
// released.
func (p *Pod) StopWith(ctx context.Context) {
	end := context.AfterFunc(ctx, func() {
		if err := p.Stop(context.WithoutCancel(ctx)); err != nil && !errors.Is(err, errReleased) {
			p.log.Error("not stopped with its context", "error", err)
		}
	})
	context.AfterFunc(p.watching, func() { end() })
}

// Signal sends sig to the pod's first process, and to nobody else: SIGHUP, to have it
// read its configuration, for instance. It returns an error that wraps
// [os.ErrProcessDone] once that process has ended. It may be called from anywhere, also
// while the pod is being stopped.
func (p *Pod) Signal(ctx context.Context, sig os.Signal) error {
	return p.named("signal", p.send(func() error { return p.sendFirst(ctx, sig) }))
}

// named returns err, of what is done to p.
func (p *Pod) named(verb string, err error) error {
	if err == nil {
		return nil
	}
	who := printable(p.name, 256)
	if p.PID() != 0 {
		who += fmt.Sprintf(" (pid %d)", p.PID())
	}
	return fmt.Errorf("%s pod %s: %w", verb, who, err)
}

func (p *Pod) stop(ctx context.Context, now bool) error {
	grace := p.grace
	if now {
		grace = -1
	}
	e := p.begin(p.mode, grace, now)
	if e == nil {
		return p.stopGone(ctx, now)
	}
	defer e.leave()
	if !receiveOr(ctx, e.over) {
		return fmt.Errorf("it was sent %s and is still there: %w", p.lastSignal(), context.Cause(ctx))
	}
	if e.crash != nil {
		e.crash.resume()
	}
	if e.err != nil && !p.hasEnded() {
		return e.err
	}
	if !receiveOr(ctx, p.ended) {
		return errors.Join(e.err, fmt.Errorf("it has ended and is not cleared away yet: %w", context.Cause(ctx)))
	}
	return errors.Join(e.err, p.stopped())
}

// receiveOr waits until done is closed, and reports whether that was before ctx was done.
func receiveOr(ctx context.Context, done <-chan struct{}) bool {
	select {
	case <-done:
		return true
	case <-ctx.Done():
	}
	select {
	case <-done:
		return true
	default:
		return false
	}
}

// lastSignal names the last signal that was sent to end p.
func (p *Pod) lastSignal() string {
	p.life.mu.Lock()
	defer p.life.mu.Unlock()
	switch {
	case p.life.phase == killing:
		return "SIGKILL"
	case p.signal == syscall.SIGTERM:
		return "SIGTERM"
	}
	return fmt.Sprintf("signal %d (%v)", int(p.signal), p.signal)
}

// stopped is what stop returns once the goroutine has ended.
func (p *Pod) stopped() error {
	select {
	case <-p.done:
		return p.reapErr
	default:
		return errReleased
	}
}

// stopGone is stop for a Pod whose process has ended by itself, or that was released:
// what it has left behind is ended, unless the name is another launch's by now.
func (p *Pod) stopGone(ctx context.Context, now bool) error {
	if !receiveOr(ctx, p.ended) {
		return context.Cause(ctx)
	}
	if err := p.stopped(); err != nil || p.mode == KillFirst || p.base == "" {
		return err
	}
	grace := p.grace
	if now {
		grace = -1
		p.life.hurry.Do(func() { close(p.life.hurried) })
	}
	if err := p.endHolders(ctx, grace); err != nil {
		return err
	}
	return p.endLeft(ctx, grace)
}

// endHolders ends those of a Pod that is gone who hold its lock.
func (p *Pod) endHolders(ctx context.Context, grace time.Duration) error {
	place, err := ownership.Open(p.base, p.name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil // the base was removed, and the lock with it
	}
	if err != nil {
		return err
	}
	place.Reclaim, place.Grace, place.Hurry, place.KeepRecord, place.Of = ownership.ReclaimGone, grace, p.life.hurried, true, p.id
	claim, err := place.Claim(ctx)
	if err == nil {
		claim.Free()
		return nil
	}
	place.Close()
	var running *ownership.RunningError // another pod has the name by now
	if errors.Is(err, ownership.ErrAnother) || errors.As(err, &running) {
		return nil
	}
	return err
}

// endLeft ends those of a Pod that is gone who do not hold its lock, and can be found all
// the same.
func (p *Pod) endLeft(ctx context.Context, grace time.Duration) error {
	f, giveBack, err := p.useFamilyBy(ctx)
	if err != nil {
		return err
	}
	defer giveBack()
	sent := make(map[unixproc.Identity]bool)
	killAt := time.Now().Add(grace)
	for delay := time.Millisecond; ; delay = min(2*delay, 50*time.Millisecond) {
		left, err := f.left()
		if err != nil {
			return err
		}
		if len(left) == 0 {
			f.reap()
			return nil
		}
		select {
		case <-p.life.hurried:
			if now := time.Now(); now.Before(killAt) {
				killAt = now
			}
		default:
		}
		switch now := time.Now(); {
		case now.After(killAt.Add(killPatience)):
			return stillThere(left)
		case !now.Before(killAt):
			_, err = f.kill()
		case p.mode == KillAll:
			fresh := slices.DeleteFunc(left, func(id unixproc.Identity) bool { return sent[id] })
			for _, id := range fresh {
				sent[id] = true
			}
			if err = unixproc.SignalEach(fresh, p.signal); err == nil {
				err = unixproc.SignalEach(fresh, unixproc.SIGCONT) // one that is stopped would not notice
			}
		}
		if err != nil {
			return err
		}
		select {
		case <-time.After(delay):
		case <-ctx.Done():
			return fmt.Errorf("processes that it has left behind are still there: %w", context.Cause(ctx))
		}
	}
}
