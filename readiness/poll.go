package readiness

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/cenkalti/backoff/v4"
)

const (
	firstDelay = time.Millisecond
	maxDelay   = 50 * time.Millisecond
)

// A Schedule says how often a check is repeated, and what counts. The zero
// value is ready to use.
//
// A check is made at once, then again after First, then ever more rarely, up
// to every Max. While it succeeds it is made again every First until it has
// succeeded often and long enough. Time spent in the check comes on top.
type Schedule struct {
	// First is about how long after the first check the next one is made. 0
	// means what the probe says, else a millisecond.
	First time.Duration

	// Max is the longest time between two checks. 0 means what the probe says,
	// else 50 ms; at least First.
	Max time.Duration

	// Attempt is how long one check may take before it counts as failed. 0
	// means what the probe says, else that only the launch bounds it.
	Attempt time.Duration

	// Successes is how many checks must succeed in a row. 0 means 1.
	Successes int

	// Stable is how long the check must go on succeeding, from the first
	// success in a row to the last. 0 means that it need not.
	Stable time.Duration

	// Final reports whether the error of a check will not get better, and so
	// ends the wait. Nil means what the probe says. It is not asked about one
	// that the check has marked with [Final].
	Final func(err error) bool
}

// Final marks err, which must not be nil, as one that will not get better: it
// ends a [Poll] at once, which then returns err.
func Final(err error) error { return &finalError{err} }

type finalError struct{ error }

func (e *finalError) Unwrap() error { return e.error }

// Poll repeats Check until it succeeds, as Schedule says.
type Poll struct {
	// What is checked, for a person: "an answer on port 80". Empty means that
	// of a check.
	What string

	// Check makes one attempt. It returns where the pod can be reached, or the
	// zero Endpoint, which stands for t.Endpoint. Required.
	//
	// It should end when ctx is done, and may be called from any number of
	// goroutines, one for each wait.
	Check func(ctx context.Context, t Target) (Endpoint, error)

	Schedule
}

var _ Probe = Poll{}

// Wait implements [Probe]. The error is a [*PendingError] once ctx is done.
func (p Poll) Wait(ctx context.Context, t Target) (Endpoint, error) {
	if p.Check == nil {
		return Endpoint{}, errors.New("readiness.Poll.Check: it is nil")
	}
	if err := p.Schedule.check("Poll"); err != nil {
		return Endpoint{}, err
	}
	var learned Endpoint
	err := p.Schedule.repeat(ctx, p.String(), func(ctx context.Context) (err error) {
		learned, err = p.Check(ctx, t)
		return err
	})
	if err != nil {
		return Endpoint{}, err
	}
	if learned == (Endpoint{}) {
		return t.Endpoint, nil
	}
	return learned, nil
}

// String describes the probe.
func (p Poll) String() string {
	if p.What == "" {
		return "a check"
	}
	return p.What
}

// or returns s with what is not set in it taken from d.
func (s Schedule) or(d Schedule) Schedule {
	if s.First == 0 {
		s.First = d.First
	}
	if s.Max == 0 {
		s.Max = d.Max
	}
	if s.Attempt == 0 {
		s.Attempt = d.Attempt
	}
	if s.Final == nil {
		s.Final = d.Final
	}
	return s
}

// check refuses what makes no sense, in the probe called what.
func (s Schedule) check(what string) error {
	for _, f := range []struct {
		name  string
		value time.Duration
	}{{"First", s.First}, {"Max", s.Max}, {"Attempt", s.Attempt}, {"Stable", s.Stable}} {
		if f.value < 0 {
			return fmt.Errorf("readiness.%s.%s: it is %v, and must not be negative", what, f.name, f.value)
		}
	}
	if s.Successes < 0 {
		return fmt.Errorf("readiness.%s.Successes: it is %d, and must not be negative", what, s.Successes)
	}
	return nil
}

// backOff returns a fresh sequence of delays for one wait. It never ends by
// itself: the deadline is ctx's alone.
func (s Schedule) backOff() *backoff.ExponentialBackOff {
	first := s.First
	if first == 0 {
		first = firstDelay
	}
	return backoff.NewExponentialBackOff(
		backoff.WithInitialInterval(first),
		backoff.WithMultiplier(1.5),
		backoff.WithMaxInterval(s.longest()),
		backoff.WithRandomizationFactor(0.5),
		backoff.WithMaxElapsedTime(0),
	)
}

func (s Schedule) longest() time.Duration {
	if s.Max == 0 {
		return max(maxDelay, s.First)
	}
	return max(s.Max, s.First)
}

// repeat makes attempts until enough of them have succeeded, one will never, or
// ctx is done; what names what they are for. The first one is made whatever ctx
// is.
func (s Schedule) repeat(ctx context.Context, what string, attempt func(context.Context) error) error {
	delays := s.backOff()
	var good run
	var last error // of an attempt
	for attempts := 1; ; attempts++ {
		err := s.try(ctx, attempt)
		switch {
		case err == nil:
			if good.add(s) {
				return nil
			}
			last = good.lacking(s)
			delays.Reset()
		case s.final(ctx, err):
			return unmarked(err)
		case last != nil && over(ctx):
			// It was cut short, and says no more than that.
		default:
			good, last = run{}, err
		}
		// Made only now: most checks of a socket succeed at once, and a timer that is
		// due wakes whoever polls. The jitter goes past its own limit.
		timer := time.NewTimer(min(delays.NextBackOff(), s.longest()))
		select {
		case <-timer.C:
			if ctx.Err() == nil {
				continue
			}
		case <-ctx.Done():
			timer.Stop()
		}
		return &PendingError{Waiting: what, Attempts: attempts, Last: last, Cause: context.Cause(ctx)}
	}
}

// over reports whether the time is over. Who dials has a clock of its own for
// the deadline, and may notice it a moment before ctx does.
func over(ctx context.Context) bool {
	deadline, ok := ctx.Deadline()
	return ctx.Err() != nil || ok && !time.Now().Before(deadline)
}

// try makes one attempt.
func (s Schedule) try(ctx context.Context, attempt func(context.Context) error) error {
	if s.Attempt == 0 {
		return attempt(ctx)
	}
	limit := fmt.Errorf("no answer within %v: %w", s.Attempt, context.DeadlineExceeded)
	ctx, cancel := context.WithTimeoutCause(ctx, s.Attempt, limit)
	defer cancel()
	err := attempt(ctx)
	cause := context.Cause(ctx)
	if cause == nil && over(ctx) {
		cause = limit
	}
	if err != nil && cause != nil && !errors.Is(err, cause) {
		return fmt.Errorf("%w (%w)", err, cause)
	}
	return err
}

// final reports whether another attempt makes no sense after err. What an
// attempt fails with once ctx is done may be no more than that.
func (s Schedule) final(ctx context.Context, err error) bool {
	if marked := (*finalError)(nil); errors.As(err, &marked) {
		return true
	}
	return s.Final != nil && ctx.Err() == nil && s.Final(err)
}

// unmarked returns err without the mark of Final, if that is outermost.
func unmarked(err error) error {
	if marked, ok := err.(*finalError); ok {
		return marked.error
	}
	return err
}

// A run is successes in a row.
type run struct {
	count int
	since time.Time
}

// add counts one more, and reports whether they are enough for s.
func (r *run) add(s Schedule) bool {
	if r.count == 0 {
		r.since = time.Now()
	}
	r.count++
	return r.count >= s.Successes && time.Since(r.since) >= s.Stable
}

// lacking says what is missing in r for s.
func (r *run) lacking(s Schedule) error {
	if r.count < s.Successes {
		return fmt.Errorf("%d of %d checks in a row have succeeded", r.count, s.Successes)
	}
	return fmt.Errorf("it has succeeded for %v of %v", time.Since(r.since).Round(time.Millisecond), s.Stable)
}
