package launcher

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/podlaunch/podlaunch/launcher/internal/osproc"
	"github.com/podlaunch/podlaunch/launcher/internal/ownership"
	"github.com/podlaunch/podlaunch/runtimedir"
)

// Stop ends the pod and all processes that belong to it, as [Spec.KillMode] says. It
// returns nil when none of them is left, or if none was there any more.
//
// The processes get [Spec.StopSignal] (and SIGCONT, for a stopped process would not
// notice). Every process that is still there after [Launcher.Grace] gets SIGKILL. The
// grace is for all of them, not for the first process alone. Stop may be called any
// number of times and from anywhere: there is one stop signal and one grace.
//
// Once ctx is done Stop returns an error wrapping context.Cause(ctx). By then Stop has
// sent the signals that were due, and sends no more until somebody calls Stop again.
// Exception: once the first process has gone, the others get SIGKILL when the grace is
// over. An error that wraps something else says why the pod could not be signalled, or
// which of its processes are left.
func (p *Pod) Stop(ctx context.Context) error { return p.named("stop", p.stop(ctx, false)) }

// Kill is [Pod.Stop] without a grace: who belongs to the pod gets SIGKILL at once, also
// if it has its grace just now.
func (p *Pod) Kill(ctx context.Context) error { return p.named("kill", p.stop(ctx, true)) }

// Report returns how the pod was ended through p: by [Pod.Stop], [Pod.Kill] or
// [Pod.StopWith]. It is empty before [Pod.Done] is closed, and if the pod ended by itself,
// or was ended by another program or another Pod. A Stop that ends what a gone pod has left
// behind adds to it.
//
// SIGSTOP, SIGCONT and the signals of [Pod.Signal] are not in it. A process that got no
// signal is not either: its parent may have ended it. A signal to the group of the first
// process counts for those who were in it just before.
func (p *Pod) Report() Report {
	select {
	case <-p.done:
		return p.report.copy()
	default:
		return Report{}
	}
}

// StopWith stops the pod, as by [Pod.Stop], when ctx ends. It returns at once, and logs
// an error of that Stop. It ends with the pod, and does nothing for a Pod that was
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
// read its configuration, for instance. On Windows there are SIGTERM, SIGINT and SIGKILL
// alone, and any other signal is an [errors.ErrUnsupported]. It returns an error that wraps
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
	return fmt.Errorf("%s pod %s: %w", verb, who, plainError{strings.ReplaceAll(err.Error(), "\n", "; "), err})
}

// stop is Stop, or Kill if now. Its error says what may keep the process from ending.
func (p *Pod) stop(ctx context.Context, now bool) error {
	err := p.end(ctx, now)
	if c, ours := p.proc.(child); ours && err != nil {
		if notes := c.notes(p.hasEnded()); len(notes) > 0 {
			err = fmt.Errorf("%w; %s", err, strings.Join(notes, "; "))
		}
	}
	return err
}

// end is what stop does.
func (p *Pod) end(ctx context.Context, now bool) error {
	grace := p.grace
	if now {
		grace = -1
	}
	e := p.begin(p.mode, grace, now)
	if e == nil {
		return p.stopGone(ctx, now)
	}
	defer e.leave()
	if !receiveOr(ctx, e.over) && !e.untilSent(grace < 0 || p.isOverdue()) {
		return fmt.Errorf("%s and is still there: %w", p.lastSignal(), context.Cause(ctx))
	}
	if e.crash != nil {
		e.crash.resume()
	}
	if e.err != nil && !p.hasEnded() {
		return e.err
	}
	if !receiveOr(ctx, p.ended) {
		what := "it has ended and is not cleared away yet"
		if p.lasts == WithParent {
			what += ", for which its keeper has to answer"
		}
		return errors.Join(e.err, fmt.Errorf("%s: %w", what, context.Cause(ctx)))
	}
	if p.origin != nil && p.origin.hasExited() {
		receive(p.origin.ended, killPatience) // it is being reaped
	}
	err := errors.Join(e.err, p.stopped())
	if err == nil && p.mode != KillFirst && p.base != "" && p.private == nil && p.PID() != 0 {
		// Who was started between the looks and the end, and has nothing but the lock, was not
		// found: once the first process has ended, another pod may own it (useFamilyBy).
		if p.mode == KillMixed {
			grace = -1 // the first process has had it
		}
		err = p.unlessItHangs(ctx, func(givenUp <-chan struct{}) error {
			held, heldErr := ownership.IsHeld(p.base, p.name)
			if !held && heldErr == nil {
				return nil
			}
			err := p.endHolders(ctx, grace, givenUp)
			if err != nil && heldErr != nil {
				err = fmt.Errorf("it has ended, and whether others hold its name cannot be told: %w", err)
			}
			return err
		})
	}
	return err
}

// lastSignal says which signal was sent last to end p.
func (p *Pod) lastSignal() string {
	p.life.mu.Lock()
	defer p.life.mu.Unlock()
	switch p.life.sent {
	case 0:
		return "it was not sent a signal yet"
	case syscall.SIGKILL:
		return "it was sent SIGKILL"
	case syscall.SIGTERM:
		return "it was sent SIGTERM"
	}
	return fmt.Sprintf("it was sent signal %d (%v)", int(p.life.sent), p.life.sent)
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
	if err := p.stopped(); err != nil || p.mode == KillFirst || p.base == "" || p.PID() == 0 {
		return err // what a process elsewhere has left behind is its engine's
	}
	grace := p.grace
	if now {
		grace = -1
		p.life.hurry.Do(func() { close(p.life.hurried) })
	}
	defer p.lasts.over(p.id, false) // nobody may be left now
	if p.private == nil {           // else endLeft finds who holds the lock
		if err := p.unlessItHangs(ctx, func(givenUp <-chan struct{}) error { return p.endHolders(ctx, grace, givenUp) }); err != nil {
			return err
		}
	}
	return p.endLeft(ctx, grace)
}

// unlessItHangs calls end, which looks at files in the base. If ctx is done and their filesystem
// does not answer, end is left to itself: it signals nobody once givenUp is closed.
func (p *Pod) unlessItHangs(ctx context.Context, end func(givenUp <-chan struct{}) error) error {
	givenUp := make(chan struct{})
	o, ok := within(ctx, patience, spawn(func() (struct{}, error) { return struct{}{}, end(givenUp) }))
	switch {
	case !ok:
		close(givenUp)
		return fmt.Errorf("it has ended, and who else holds its name cannot be told: the filesystem of the base directory %q does not answer: %w", p.base, context.Cause(ctx))
	case o.crash != nil:
		o.crash.resume()
	}
	return o.err
}

// endHolders ends those of a Pod that is gone who hold its lock, until givenUp is closed.
func (p *Pod) endHolders(ctx context.Context, grace time.Duration, givenUp <-chan struct{}) error {
	place, err := ownership.Open(p.base, p.name)
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, runtimedir.ErrInsecure) {
		return nil // the base was removed, or replaced by something else, and the lock with it
	}
	if err != nil {
		return err
	}
	place.Reclaim, place.Grace, place.Hurry, place.KeepRecord, place.Of = ownership.ReclaimGone, grace, p.life.hurried, true, p.id
	place.GivenUp = givenUp
	place.Signalled = func(id osproc.Identity, sig syscall.Signal, at time.Time) {
		p.report.sent([]osproc.Identity{id}, sig, at)
	}
	claim, err := place.Claim(ctx)
	p.report.look(p.firstIdentity())
	if err == nil {
		osproc.ReapInherited(ctx, claim.Ended)
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
	sent := make(map[osproc.Identity]bool)
	var killAt time.Time // the grace begins after the first look, which may take long
	var refused error
	for delay := time.Millisecond; ; delay = min(2*delay, 50*time.Millisecond) {
		left, err := f.left()
		p.report.look(p.firstIdentity())
		if err != nil {
			return err
		}
		if len(left) == 0 {
			f.reap()
			return nil
		}
		at := time.Now()
		if killAt.IsZero() {
			killAt = at.Add(grace)
		}
		select {
		case <-p.life.hurried:
			if at.Before(killAt) {
				killAt = at
			}
		default:
		}
		switch {
		case at.After(killAt.Add(killPatience)):
			return stillThere(left, refused)
		case !at.Before(killAt):
			left, refused = f.kill() // by some of those who are left
			if p.report.killed(left, at, refused); refused != nil && len(left) == 0 {
				return refused
			}
		case p.mode == KillAll:
			p.stopEach(slices.DeleteFunc(left, func(id osproc.Identity) bool { return isHidden(id) || sent[id] }), sent)
		}
		select {
		case <-time.After(delay):
		case <-ctx.Done():
			return fmt.Errorf("processes that it has left behind are still there: %w", context.Cause(ctx))
		}
	}
}
