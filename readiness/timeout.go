package readiness

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// Timeout waits for Probe, but not longer than Limit. The time counts from when
// its own turn comes, and never moves the end of the launch. When it is over
// the error is a verdict: a [*PendingError] that says what was missing, for
// which errors.Is finds [context.DeadlineExceeded].
type Timeout struct {
	Probe Probe         // Required.
	Limit time.Duration // Required: positive.
}

var (
	_ Composite = Timeout{}
	_ Preparer  = Timeout{}
)

// Wait implements [Probe].
func (l Timeout) Wait(ctx context.Context, t Target) (Endpoint, error) {
	if err := l.check(); err != nil {
		return Endpoint{}, err
	}
	over := &limitError{l.Limit}
	limited, cancel := context.WithTimeoutCause(ctx, l.Limit, over)
	defer cancel()
	e, err := l.Probe.Wait(limited, t)
	if err != nil && context.Cause(limited) == error(over) {
		if part := pendingPart(limited, l.Probe, err); part != nil {
			return Endpoint{}, part
		}
	}
	return e, err
}

// Prepare implements [Preparer].
func (l Timeout) Prepare(ctx context.Context, s *Setup) (_ Probe, err error) {
	if err := l.check(); err != nil {
		return nil, err
	}
	l.Probe, err = Prepare(ctx, l.Probe, s)
	return l, err
}

// Probes implements [Composite].
func (l Timeout) Probes() []Probe { return []Probe{l.Probe} }

// String describes the probe.
func (l Timeout) String() string { return fmt.Sprintf("%s within %v", Describe(l.Probe), l.Limit) }

func (l Timeout) check() error {
	switch {
	case l.Probe == nil:
		return errors.New("readiness.Timeout.Probe: it is nil")
	case l.Limit <= 0:
		return fmt.Errorf("readiness.Timeout.Limit: it is %v, and must be positive", l.Limit)
	}
	return nil
}

// A limitError is the end of a Timeout's time.
type limitError struct{ limit time.Duration }

func (e *limitError) Error() string {
	return fmt.Sprintf("the limit of %v for this probe is over (readiness.Timeout)", e.limit)
}

func (e *limitError) Is(target error) bool { return target == context.DeadlineExceeded }
