package readiness_test

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/podlaunch/podlaunch/readiness"
)

// A checked poll notes when it checks; outcome says what the check made so long
// after the start returns.
type checked struct {
	start time.Time
	at    []time.Duration
}

// poll waits for a check as s says, on a clock that jumps, until patience is
// over; it returns when the checks were made.
func poll(t *testing.T, s readiness.Schedule, outcome func(ctx context.Context, since time.Duration) error) (c checked, took time.Duration, err error) {
	t.Helper()
	p := readiness.Poll{What: "it", Schedule: s, Check: func(ctx context.Context, _ readiness.Target) (readiness.Endpoint, error) {
		if c.start.IsZero() {
			c.start = time.Now()
		}
		c.at = append(c.at, time.Since(c.start))
		return readiness.Endpoint{}, outcome(ctx, time.Since(c.start))
	}}
	_, took, err = await(t, p, target(t, nil))
	return c, took, err
}

var errNo = errors.New("no")

func fails(context.Context, time.Duration) error { return errNo }

// The first check is made at once, the next about First later, and then ever more
// rarely up to every Max. The jitter takes at most half of Max.
func TestScheduleBounds(t *testing.T) {
	for _, s := range []readiness.Schedule{
		{},
		{First: 10 * time.Millisecond},
		{Max: 5 * time.Millisecond},
		{First: 20 * time.Millisecond, Max: time.Second},
		{First: time.Second},                        // more than the default of Max
		{First: time.Second, Max: time.Millisecond}, // which is at least First
	} {
		first, longest := s.First, s.Max
		if first == 0 {
			first = time.Millisecond
		}
		if longest == 0 {
			longest = 50 * time.Millisecond
		}
		longest = max(longest, first)
		c, took, err := poll(t, s, fails)
		if e := pending(t, err, errOver); took != patience || e.Attempts != len(c.at) || e.Last != errNo {
			t.Errorf("%+v: after %v: %v, of %d attempts", s, took, err, len(c.at))
		}
		if c.at[0] != 0 || c.at[1] < first/2 || c.at[1] > first*3/2 {
			t.Errorf("%+v: the first checks are at %v", s, c.at[:2])
		}
		for i := 1; i < len(c.at); i++ {
			if d := c.at[i] - c.at[i-1]; d > longest || d < first/2 {
				t.Errorf("%+v: check %d is %v after the one before", s, i, d)
			}
		}
		if n, fewest := len(c.at), int(patience/longest); n < fewest || n > 3*fewest+40 {
			t.Errorf("%+v: %d checks in %v", s, n, patience)
		}
	}
}

// However long the time between two checks is, it is not that no time is between them.
func TestScheduleLongest(t *testing.T) {
	for _, s := range []readiness.Schedule{{First: math.MaxInt64}, {Interval: math.MaxInt64, NoJitter: true}, {First: 200 * 365 * 24 * time.Hour}} {
		for range 10 {
			if c, _, _ := poll(t, s, fails); len(c.at) != 1 {
				t.Errorf("%+v: %d checks", s, len(c.at))
			}
		}
	}
}

// Successes are counted in a row: one failure begins anew, and they come every
// First, not at the pace of the failures before.
func TestScheduleSuccesses(t *testing.T) {
	n := 0
	c, _, err := poll(t, readiness.Schedule{Successes: 3}, func(_ context.Context, since time.Duration) error {
		if n++; since < time.Second || since < 2*time.Second && n%3 == 0 {
			return errNo
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	last := c.at[len(c.at)-3:]
	if last[2] < 2*time.Second || last[2]-last[0] > 3*time.Millisecond {
		t.Errorf("the last checks are at %v", last)
	}
	// Never three in a row: the end says how many there were.
	n = 0
	_, _, err = poll(t, readiness.Schedule{Successes: 3}, func(context.Context, time.Duration) error {
		if n++; n%3 == 0 {
			return errNo
		}
		return nil
	})
	e := pending(t, err, errOver)
	if !slices.Contains([]string{"no", "1 of 3 checks in a row have succeeded", "2 of 3 checks in a row have succeeded"}, e.Last.Error()) {
		t.Error(e)
	}
}

// Stable is counted from the first success in a row to the last.
func TestScheduleStable(t *testing.T) {
	s := readiness.Schedule{First: 100 * time.Millisecond, Stable: 2 * time.Second}
	c, took, err := poll(t, s, func(_ context.Context, since time.Duration) error {
		if since < time.Second || since > 2*time.Second && since < 3*time.Second {
			return errNo
		}
		return nil
	})
	if err != nil || took < 5*time.Second || took > 5*time.Second+500*time.Millisecond {
		t.Errorf("%d checks, after %v: %v", len(c.at), took, err)
	}
	_, _, err = poll(t, readiness.Schedule{Stable: time.Hour}, func(context.Context, time.Duration) error { return nil })
	mustSay(t, err, "it has succeeded for ", "of 1h0m0s")
	// Both are needed.
	_, took, err = poll(t, readiness.Schedule{First: time.Second, Successes: 10, Stable: time.Second}, func(context.Context, time.Duration) error { return nil })
	if err != nil || took < 9*time.Second/2 {
		t.Errorf("after %v: %v", took, err)
	}
}

// A check has its time. When that is over it is made again, no matter which error it
// returned. A check that succeeds counts, even if it is late. The wait's end does not
// count as the end of a check's time.
func TestScheduleAttempt(t *testing.T) {
	hangs := func(ctx context.Context, _ time.Duration) error {
		<-ctx.Done()
		return errNo
	}
	s := readiness.Schedule{Attempt: time.Second, First: time.Second}
	c, took, err := poll(t, s, hangs)
	if e := pending(t, err, errOver); took != patience || len(c.at) < 20 || len(c.at) > 40 || !errors.Is(e, errNo) {
		t.Errorf("%d checks, after %v: %v", len(c.at), took, err)
	}
	c, _, err = poll(t, s, func(ctx context.Context, since time.Duration) error {
		hangs(ctx, since)
		return context.Cause(ctx)
	})
	mustBe(t, err, context.DeadlineExceeded)
	mustSay(t, err, "no answer within 1s")
	if len(c.at) < 20 {
		t.Errorf("%d checks", len(c.at))
	}
	if _, took, err = poll(t, s, func(ctx context.Context, since time.Duration) error { hangs(ctx, since); return nil }); err != nil || took != time.Second {
		t.Errorf("after %v: %v", took, err)
	}
	c, took, err = poll(t, readiness.Schedule{}, hangs) // nothing but the launch bounds it
	if e := pending(t, err, errOver); took != patience || len(c.at) != 1 || e.Last != errNo {
		t.Errorf("%d checks, after %v: %v", len(c.at), took, err)
	}
}

// An error that is marked as final, or that the schedule calls final, ends the wait at
// once. Wait returns it without the mark. Once the wait is over only the mark counts.
func TestScheduleFinal(t *testing.T) {
	other := errors.New("other")
	isOther := readiness.Schedule{Final: func(err error) bool { return errors.Is(err, other) }}
	for _, c := range []struct {
		s    readiness.Schedule
		err  error
		want error
	}{
		{readiness.Schedule{}, readiness.Final(errNo), errNo},
		{isOther, readiness.Final(errNo), errNo},
		{isOther, other, other},
	} {
		got, took, err := poll(t, c.s, func(context.Context, time.Duration) error { return c.err })
		if err != c.want || took != 0 || len(got.at) != 1 {
			t.Errorf("%d checks, after %v: %v", len(got.at), took, err)
		}
	}
	_, took, err := poll(t, isOther, func(context.Context, time.Duration) error { return fmt.Errorf("look: %w", readiness.Final(errNo)) })
	if mustBe(t, err, errNo); took != 0 || err.Error() != "look: no" {
		t.Errorf("after %v: %v", took, err)
	}
	_, _, err = poll(t, isOther, fails)
	pending(t, err, errOver)
	atTheEnd := func(err error) func(context.Context, time.Duration) error {
		return func(ctx context.Context, _ time.Duration) error { <-ctx.Done(); return err }
	}
	_, _, err = poll(t, isOther, atTheEnd(other))
	pending(t, err, errOver)
	if _, _, err = poll(t, isOther, atTheEnd(readiness.Final(other))); err != other {
		t.Errorf("got %v", err)
	}
}

// The last error has something to say: it is not the error of a check that the wait's
// end cut short.
func TestPollLastError(t *testing.T) {
	_, _, err := poll(t, readiness.Schedule{}, func(ctx context.Context, since time.Duration) error {
		if since < time.Second {
			return errNo
		}
		<-ctx.Done()
		return errors.New("use of closed network connection")
	})
	if e := pending(t, err, errOver); e.Last != errNo {
		t.Error(err)
	}
}

// A first check that the pod's exit cut short says what it says, and is no cancellation by
// the caller.
func TestPollFirstCheckCutShort(t *testing.T) {
	for cause, cancelled := range map[error]bool{errOver: false, context.Canceled: true} {
		ctx, cancel := context.WithCancelCause(t.Context())
		_, err := readiness.Poll{Check: func(ctx context.Context, _ readiness.Target) (readiness.Endpoint, error) {
			cancel(cause)
			return readiness.Endpoint{}, fmt.Errorf("dial: %w", ctx.Err())
		}}.Wait(ctx, learned(t))
		pending(t, err, cause)
		mustSay(t, err, "dial: context canceled")
		if errors.Is(err, context.Canceled) != cancelled {
			t.Errorf("the wait ended by %v, and its error is context.Canceled: %v", cause, !cancelled)
		}
	}
}

// The first check is made even when the wait is over already, and is the only
// one then.
func TestPollContextDone(t *testing.T) {
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(errOver)
	checks := 0
	p := readiness.Poll{Check: func(context.Context, readiness.Target) (readiness.Endpoint, error) {
		checks++
		return address("/run/sock"), errNo
	}}
	e, err := p.Wait(ctx, learned(t))
	if pending(t, err, errOver).Attempts != 1 || checks != 1 || e != (readiness.Endpoint{}) {
		t.Errorf("%d checks: %v, %v", checks, e, err)
	}
}

// The endpoint is what the last check returned, else what was known.
func TestPollEndpoint(t *testing.T) {
	for own, want := range map[string]string{"": "/run/old", "/run/own": "/run/own"} {
		checks := 0
		e, _, err := await(t, readiness.Poll{Check: func(_ context.Context, target readiness.Target) (readiness.Endpoint, error) {
			if checks++; checks < 3 {
				return address("/run/early"), nil
			}
			return address(own), nil
		}, Schedule: readiness.Schedule{Successes: 3}}, learned(t))
		if err != nil || e.Address != want {
			t.Errorf("got %v, %v, want %s", e, err, want)
		}
	}
}

// What is negative is refused, with the name of the field, before any check.
func TestPollRefused(t *testing.T) {
	for field, s := range map[string]readiness.Schedule{
		"First": {First: -1}, "Max": {Max: -1}, "Attempt": {Attempt: -1}, "Stable": {Stable: -1}, "Successes": {Successes: -1},
	} {
		c, took, err := poll(t, s, fails)
		mustSay(t, err, "readiness.Poll."+field, "-1", "must not be negative")
		if took != 0 || len(c.at) != 0 {
			t.Errorf("%s: %d checks in %v", field, len(c.at), took)
		}
	}
	if s := fmt.Sprint(readiness.Poll{}, "; ", readiness.Poll{What: "it"}); !strings.Contains(s, "a check; it") {
		t.Errorf("they are %q", s)
	}
}

// Rule 10: one value serves any number of waits at once, each with a schedule of
// its own.
func TestPollConcurrent(t *testing.T) {
	p := readiness.Poll{Check: func(_ context.Context, target readiness.Target) (readiness.Endpoint, error) {
		return address(target.Name), nil
	}, Schedule: readiness.Schedule{Successes: 5}}
	synctest.Test(t, func(t *testing.T) {
		for i := range 20 {
			go func() {
				name := fmt.Sprint("/run/", i)
				if e, err := p.Wait(t.Context(), readiness.Target{Name: name}); err != nil || e.Address != name {
					t.Errorf("got %v, %v", e, err)
				}
			}()
		}
		time.Sleep(time.Minute)
		synctest.Wait()
	})
}
