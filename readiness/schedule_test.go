package readiness_test

import (
	"context"
	"testing"
	"time"

	"github.com/podlaunch/podlaunch/readiness"
)

// The words of others, W32: an initial delay, an interval, a timeout of an attempt, a
// success threshold; and times that are exact.
func TestScheduleInOthersWords(t *testing.T) {
	const s = time.Second
	for _, c := range []struct {
		name string
		s    readiness.Schedule
		want []time.Duration // of the first checks
	}{
		{"exact", readiness.Schedule{First: s, Max: 3 * s, NoJitter: true}, []time.Duration{0, s, 2*s + s/2, 4*s + 3*s/4, 7*s + 3*s/4}},
		{"an interval", readiness.Schedule{Interval: 5 * s, NoJitter: true}, []time.Duration{0, 5 * s, 10 * s, 15 * s}},
		{"a delay", readiness.Schedule{Delay: 7 * s, Interval: 2 * s, NoJitter: true}, []time.Duration{0, 2 * s, 4 * s}},
	} {
		checked, took, err := poll(t, c.s, fails)
		if e := pending(t, err, errOver); took != patience || e.Attempts != len(checked.at) {
			t.Errorf("%s: after %v: %v", c.name, took, err)
		}
		for i, want := range c.want {
			if checked.at[i] != want {
				t.Errorf("%s: the checks are at %v, want %v", c.name, checked.at[:len(c.want)], c.want)
				break
			}
		}
		if early := patience - checked.at[len(checked.at)-1]; early < c.s.Delay {
			t.Errorf("%s: the first check was not after %v", c.name, c.s.Delay)
		}
	}
	jittered, _, _ := poll(t, readiness.Schedule{Interval: s}, fails)
	if len(jittered.at) < 60 || len(jittered.at) > 120 {
		t.Errorf("%d checks, one a second at most", len(jittered.at))
	}
}

// A delay is waited for, and ends with the wait, before anything is checked.
func TestScheduleDelay(t *testing.T) {
	c, took, err := poll(t, readiness.Schedule{Delay: time.Hour}, fails)
	if e := pending(t, err, errOver); took != patience || len(c.at) != 0 || e.Attempts != 0 || e.Tried() {
		t.Errorf("after %v and %d checks: %v", took, len(c.at), err)
	}
	c, took, err = poll(t, readiness.Schedule{Delay: 30 * time.Second, Interval: 10 * time.Second, NoJitter: true, Successes: 3}, func(context.Context, time.Duration) error { return nil })
	if took != 50*time.Second || len(c.at) != 3 || err != nil {
		t.Errorf("after %v and %d checks: %v", took, len(c.at), err)
	}
	for says, s := range map[string]readiness.Schedule{
		"readiness.Poll.Delay":               {Delay: -1},
		"readiness.Poll.Interval":            {Interval: -1},
		"stands for First and Max":           {Interval: 1, Max: 1},
		"readiness.Poll.Interval: it is 1ns": {Interval: 1, First: 1},
	} {
		_, took, err := poll(t, s, fails)
		if mustSay(t, err, says); took != 0 {
			t.Errorf("after %v: %v", took, err)
		}
	}
}
