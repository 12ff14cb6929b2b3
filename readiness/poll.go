package readiness

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math"
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
//
// What others call the initial delay is Delay; the period or interval is Interval;
// the timeout of an attempt is Attempt; the success threshold is Successes.
type Schedule struct {
	// Delay is how long to wait before the first check. 0 means that it is made
	// at once.
	Delay time.Duration

	// Interval is how long after each check the next one is made, if they shall
	// not become more rare: it stands for First and Max, which must be 0 then. 0
	// means First and Max.
	Interval time.Duration

	// NoJitter makes the times between checks exact. Otherwise each is, by chance,
	// between half as long and half as long again, so that many waiters do not all
	// check at once; but never longer than Max.
	NoJitter bool

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
	// ends the wait. Nil means what the probe says. The schedule does not ask it
	// about an error that the check marked with [Final].
	Final func(err error) bool
}

// Final marks err, which must not be nil, as an error that will not get better: it
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

func (p Poll) check() error {
	if p.Check == nil {
		return errors.New("readiness.Poll.Check: it is nil")
	}
	return p.Schedule.check("Poll")
}

// Wait implements [Probe]. The error is a [*PendingError] once ctx is done.
func (p Poll) Wait(ctx context.Context, t Target) (Endpoint, error) {
	if err := p.check(); err != nil {
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
	s = s.even()
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

// even returns s with its Interval as First and Max.
func (s Schedule) even() Schedule {
	if s.Interval != 0 {
		s.First, s.Max, s.Interval = s.Interval, s.Interval, 0
	}
	return s
}

// check refuses what makes no sense, in the probe called what.
func (s Schedule) check(what string) error {
	for _, f := range []struct {
		name  string
		value time.Duration
	}{{"Delay", s.Delay}, {"Interval", s.Interval}, {"First", s.First}, {"Max", s.Max}, {"Attempt", s.Attempt}, {"Stable", s.Stable}} {
		if f.value < 0 {
			return fmt.Errorf("readiness.%s.%s: it is %v, and must not be negative", what, f.name, f.value)
		}
	}
	if s.Interval != 0 && (s.First != 0 || s.Max != 0) {
		return fmt.Errorf("readiness.%s.Interval: it is %v, and stands for First and Max, which are %v and %v and must be 0 then", what, s.Interval, s.First, s.Max)
	}
	if s.Successes < 0 {
		return fmt.Errorf("readiness.%s.Successes: it is %d, and must not be negative", what, s.Successes)
	}
	return nil
}

// backOff returns a fresh sequence of delays for one wait. It never ends by
// itself: the deadline is ctx's alone.
func (s Schedule) backOff() *backoff.ExponentialBackOff {
	first := min(cmp.Or(s.First, firstDelay), math.MaxInt64/2) // half as long again is a Duration, too
	jitter := 0.5
	if s.NoJitter {
		jitter = 0
	}
	return backoff.NewExponentialBackOff(
		backoff.WithInitialInterval(first),
		backoff.WithMultiplier(1.5),
		backoff.WithMaxInterval(s.longest()),
		backoff.WithRandomizationFactor(jitter),
		backoff.WithMaxElapsedTime(0),
	)
}

func (s Schedule) longest() time.Duration {
	if s.Max == 0 {
		return max(maxDelay, s.First)
	}
	return max(s.Max, s.First)
}

// repeat makes attempts until enough of them have succeeded, an error is final, or ctx
// is done; what names what they are for. Without a Delay it makes the first attempt
// even if ctx is done.
func (s Schedule) repeat(ctx context.Context, what string, attempt func(context.Context) error) error {
	s = s.even()
	if s.Delay > 0 && !sleep(ctx, s.Delay) {
		return &PendingError{Waiting: what, Cause: context.Cause(ctx)}
	}
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
		case over(ctx):
			if last == nil {
				last = cutShort(ctx, err) // else it says no more than that
			}
		default:
			good, last = run{}, err
		}
		// The timer is made only now: most checks of a socket succeed at once, and a
		// timer that is due wakes the poller. The jitter goes past its own limit.
		if sleep(ctx, min(delays.NextBackOff(), s.longest())) {
			continue
		}
		return &PendingError{Waiting: what, Attempts: attempts, Last: last, Cause: context.Cause(ctx)}
	}
}

// cutShort returns what an attempt failed with that the end of ctx may have cut short. Such
// an error may be a [context.Canceled] for any cause of ctx. Only the cause of ctx says whether
// the caller cancelled, so the error keeps its text alone.
func cutShort(ctx context.Context, err error) error {
	if errors.Is(err, context.Canceled) && !errors.Is(context.Cause(ctx), context.Canceled) {
		return errors.New(err.Error())
	}
	return err
}

// sleep waits for d, and reports whether ctx is still not done.
func sleep(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return ctx.Err() == nil
	case <-ctx.Done():
		return false
	}
}

// over reports whether the time is over. Package net has a clock of its own for the
// deadline, and a dial may notice it a moment before ctx does.
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
