package launcher

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"
)

// A launchDeadline is the context of one launch. Unlike a context of package context
// it can be moved, up to a hard limit, and it still ends with
// [context.DeadlineExceeded] like one of those: for itself, and for every
// context that a strategy derives from it.
//
// The wrapped Context is one of package context, so what is derived from this one
// needs no goroutine, however many values are between them. It ends when its
// parent does, with the parent's error and cause.
type launchDeadline struct {
	context.Context
	drop   context.CancelFunc // ends the wrapped one; called last
	parent *deadlineParent
	caller context.Context

	began   time.Time
	timeout time.Duration // before it was moved
	hard    time.Time     // it is never later

	mu    sync.Mutex
	at    time.Time
	timer *time.Timer
	deaf  func() bool // stops to listen to the caller's context; nil: that never ends
}

// newDeadline returns a context below ctx that ends after timeout, and can be
// moved up to hard from now. The caller has to call release.
func newDeadline(ctx context.Context, timeout, hard time.Duration) *launchDeadline {
	now := time.Now()
	d := &launchDeadline{
		parent:  newDeadlineParent(ctx),
		caller:  ctx,
		began:   now,
		timeout: timeout,
		hard:    now.Add(max(timeout, hard)),
		at:      now.Add(timeout),
	}
	d.Context, d.drop = context.WithCancel(d.parent)
	d.mu.Lock()
	defer d.mu.Unlock()
	// What is over already is over when this returns, as with a context of
	// package context.
	if d.errLocked() != nil {
		return d
	}
	if time.Until(d.at) <= 0 {
		d.parent.finish(context.DeadlineExceeded, &deadlineError{limit: timeout, timeout: timeout})
		return d
	}
	d.timer = time.AfterFunc(timeout, d.expire)
	if ctx.Done() != nil {
		d.deaf = context.AfterFunc(ctx, func() { d.Err() })
	}
	return d
}

// release ends the context, if nothing has yet, and frees what it holds.
func (d *launchDeadline) release() {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.timer != nil {
		d.timer.Stop()
	}
	if d.deaf != nil {
		d.deaf()
	}
	d.parent.finish(context.Canceled, context.Canceled)
	d.drop()
}

// expire runs when the timer does; the deadline may have been moved just before.
func (d *launchDeadline) expire() {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.errLocked() != nil {
		return
	}
	if left := time.Until(d.at); left > 0 {
		d.timer.Reset(left)
		return
	}
	d.parent.finish(context.DeadlineExceeded, &deadlineError{limit: d.at.Sub(d.began), timeout: d.timeout})
}

// extend makes sure that at least more time remains, if the limit allows.
func (d *launchDeadline) extend(more time.Duration) {
	d.mu.Lock()
	defer d.mu.Unlock()
	at := time.Now().Add(more)
	if at.After(d.hard) {
		at = d.hard
	}
	if at.After(d.at) {
		d.at = at // the timer finds out when it runs
	}
}

// Deadline returns the deadline as it is now, or the caller's if that is earlier.
func (d *launchDeadline) Deadline() (time.Time, bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if caller, ok := d.caller.Deadline(); ok && caller.Before(d.at) {
		return caller, true
	}
	return d.at, true
}

// Err implements [context.Context]. It sees the end of the caller's context at
// once.
func (d *launchDeadline) Err() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.errLocked()
}

// errLocked is Err for a caller who holds mu.
func (d *launchDeadline) errLocked() error {
	if err := d.caller.Err(); err != nil {
		d.parent.finish(err, context.Cause(d.caller))
	}
	return d.Context.Err()
}

// A deadlineParent is what the Context of a launchDeadline is derived from. finish
// ends it, with the error that finish is given.
//
// The wrapped Context can be cancelled, and holds the cause; it does not end with
// the caller's, so error and cause are always of the same end. done is a channel of
// our own: with the wrapped one's, package context would take both for the same,
// and end what is derived from them with context.Canceled.
type deadlineParent struct {
	context.Context
	end  context.CancelCauseFunc // of the wrapped one
	then func()                  // ends the one context that is derived from this one
	err  error                   // set before done is closed
	done chan struct{}
}

// newDeadlineParent returns a parent that has the values of ctx.
func newDeadlineParent(ctx context.Context) *deadlineParent {
	p := &deadlineParent{done: make(chan struct{})}
	p.Context, p.end = context.WithCancelCause(context.WithoutCancel(ctx))
	return p
}

// finish ends the context, the first time, and what is derived from it. There is
// one call of it at a time.
func (p *deadlineParent) finish(err, cause error) {
	if p.Err() != nil {
		return
	}
	p.err = err
	p.end(cause)
	close(p.done)
	p.then()
}

// Done implements [context.Context].
func (p *deadlineParent) Done() <-chan struct{} { return p.done }

// Err implements [context.Context].
func (p *deadlineParent) Err() error {
	select {
	case <-p.done:
		return p.err
	default:
		return nil
	}
}

// AfterFunc is what package context looks for in a context that is not its own
// (context.AfterFunc). It calls it once, when it derives a context, and then the
// end of this one is the end of that one at once.
func (p *deadlineParent) AfterFunc(f func()) (stop func() bool) {
	p.then = f
	return func() bool { return false }
}

// A deadlineError is the end of the time.
type deadlineError struct {
	limit   time.Duration // the Launcher's; 0: it was the caller's deadline
	timeout time.Duration // what the limit was before the pod asked for more
}

func (e *deadlineError) Error() string {
	switch {
	case e.limit == 0:
		return "pod did not become ready before the caller's deadline"
	case e.limit > e.timeout:
		return fmt.Sprintf("pod did not become ready within %v, to which it had extended %v itself", e.limit, e.timeout)
	}
	return fmt.Sprintf("pod did not become ready within %v", e.limit)
}

func (e *deadlineError) Is(target error) bool {
	return target == ErrTimeout || target == context.DeadlineExceeded
}

// whyOver says why the context of a launch, or of who waits for one, is done.
func whyOver(ctx context.Context) error {
	cause := context.Cause(ctx)
	var ours *deadlineError
	switch {
	case errors.As(cause, &ours):
		return cause
	case errors.Is(ctx.Err(), context.DeadlineExceeded) && cause == ctx.Err():
		return &deadlineError{}
	case errors.Is(ctx.Err(), context.DeadlineExceeded):
		return fmt.Errorf("%w: %w", &deadlineError{}, cause)
	case errors.Is(cause, context.Canceled):
		return fmt.Errorf("cancelled: %w", cause)
	}
	return fmt.Errorf("cancelled: %w: %w", ctx.Err(), cause)
}
