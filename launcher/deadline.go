package launcher

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"
)

// A deadline ends the context of one launch. Unlike a context's own it can be
// moved, up to a hard limit.
type deadline struct {
	began   time.Time
	timeout time.Duration // before it was moved
	hard    time.Time     // it is never later
	end     context.CancelCauseFunc

	mu    sync.Mutex
	at    time.Time
	timer *time.Timer
}

// newDeadline returns ctx with a deadline that is timeout from now, and can be
// moved up to hard from now. To be released by cancel.
func newDeadline(ctx context.Context, timeout, hard time.Duration) (_ context.Context, d *deadline, cancel func()) {
	ctx, end := context.WithCancelCause(ctx)
	now := time.Now()
	d = &deadline{began: now, timeout: timeout, at: now.Add(timeout), hard: now.Add(max(timeout, hard)), end: end}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.timer = time.AfterFunc(timeout, d.expire)
	if time.Until(d.at) <= 0 {
		// As with a context's own deadline, what is over already is over when this
		// returns, and not some time later.
		end(&deadlineError{limit: timeout, timeout: timeout})
	}
	return deadlineContext{ctx, d}, d, func() {
		d.timer.Stop()
		end(nil)
	}
}

// expire runs when the timer does; it may have been moved just before.
func (d *deadline) expire() {
	d.mu.Lock()
	defer d.mu.Unlock()
	if left := time.Until(d.at); left > 0 {
		d.timer.Reset(left)
		return
	}
	d.end(&deadlineError{limit: d.at.Sub(d.began), timeout: d.timeout})
}

// extend makes sure that at least more time remains, if the limit allows.
func (d *deadline) extend(more time.Duration) {
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

func (d *deadline) when() time.Time {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.at
}

// A deadlineContext tells the deadline as it is now, as other contexts do.
type deadlineContext struct {
	context.Context
	d *deadline
}

func (c deadlineContext) Deadline() (time.Time, bool) {
	at := c.d.when()
	if parent, ok := c.Context.Deadline(); ok && parent.Before(at) {
		return parent, true
	}
	return at, true
}

func (c deadlineContext) Err() error {
	err := c.Context.Err()
	if ours := (*deadlineError)(nil); err != nil && errors.As(context.Cause(c.Context), &ours) {
		return context.DeadlineExceeded
	}
	return err
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
