package readiness_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/podlaunch/podlaunch/readiness"
)

// learns is a probe that expects an endpoint from the one before it, and
// returns its own.
func learns(t *testing.T, before, own string) readiness.Probe {
	return readiness.ProbeFunc(func(_ context.Context, target readiness.Target) (readiness.Endpoint, error) {
		if want := address(before); target.Endpoint != want {
			t.Errorf("the probe of %q was given %v, want %v", own, target.Endpoint, want)
		}
		if target.Name != "pod" || target.WorkDir != "/srv/pod" {
			t.Errorf("the target has changed: %+v", target)
		}
		return address(own), nil
	})
}

func address(a string) readiness.Endpoint {
	if a == "" {
		return readiness.Endpoint{}
	}
	return readiness.Endpoint{Network: "unix", Address: a}
}

// A Sequence runs its probes in order, hands on what each learned, also inside
// another Sequence, and returns what the last one did.
func TestSequenceHandsOn(t *testing.T) {
	for _, s := range []readiness.Sequence{
		{learns(t, "", "1")},
		{learns(t, "", "2"), learns(t, "2", "1")},
		{learns(t, "", "2"), learns(t, "2", ""), learns(t, "", "1")},
		{learns(t, "", "2"), readiness.Sequence{learns(t, "2", "3"), learns(t, "3", "4")}, learns(t, "4", "1")},
	} {
		e, _, err := await(t, s, target(t, nil))
		if err != nil || e != address("1") {
			t.Errorf("%v: got %v, %v", s, e, err)
		}
	}
}

// A Sequence that is empty or holds a nil would call anything ready, or panic:
// it is an error, found before the first probe runs.
func TestSequenceRefused(t *testing.T) {
	never := readiness.ProbeFunc(func(context.Context, readiness.Target) (readiness.Endpoint, error) {
		t.Error("a probe ran")
		return address("1"), nil
	})
	for _, c := range []struct {
		s    readiness.Sequence
		says string
	}{
		{nil, "it is empty"},
		{readiness.Sequence{}, "it is empty"},
		{readiness.Sequence{readiness.Sequence{}, never}, "it is empty"},
		{readiness.Sequence{nil}, "probe 0 of 1 is nil"},
		{readiness.Sequence{never, nil, never}, "probe 1 of 3 is nil"},
	} {
		_, took, err := await(t, c.s, target(t, nil))
		mustSay(t, err, "readiness.Sequence", c.says)
		if took != 0 || errors.Is(err, errOver) {
			t.Errorf("after %v: %v", took, err)
		}
	}
}

// The first error ends a Sequence as it is, and no later probe runs.
func TestSequenceError(t *testing.T) {
	wrong := errors.New("this will never do")
	_, _, err := await(t, readiness.Sequence{
		learns(t, "", "1"),
		readiness.ProbeFunc(func(context.Context, readiness.Target) (readiness.Endpoint, error) {
			return address("half"), wrong
		}),
		readiness.ProbeFunc(func(context.Context, readiness.Target) (readiness.Endpoint, error) {
			t.Error("the probe after the error ran")
			return address("2"), nil
		}),
	}, target(t, nil))
	if err != wrong {
		t.Errorf("got %v, want %v", err, wrong)
	}
}

// Rule 9: the context reaches whichever probe waits, and its end ends the
// Sequence there, with that probe's evidence.
func TestSequenceCancelled(t *testing.T) {
	s := readiness.Sequence{readiness.ReadyLine{}, readiness.Socket{}}
	_, took, err := await(t, s, target(t, logOf("starting")))
	if p := pending(t, err, errOver); took != patience || !strings.HasPrefix(p.Waiting, "the ready line") {
		t.Errorf("after %v: %v", took, err)
	}
}

// A Sequence owns the lines of its probes, those of an inner Sequence too, and
// no others; a probe that owns none, or a nil, does no harm.
func TestSequenceOwnsLine(t *testing.T) {
	target := target(t, nil)
	line := []byte("INSOMNIA-READY\tpod\t/run/sock")
	plain := learns(t, "", "")
	for _, c := range []struct {
		s    readiness.Sequence
		want bool
	}{
		{nil, false},
		{readiness.Sequence{plain, readiness.Socket{}, nil}, false},
		{readiness.Sequence{readiness.ReadyLine{Prefix: "YOI-READY"}}, false},
		{readiness.Sequence{plain, readiness.ReadyLine{}}, true},
		{readiness.Sequence{plain, readiness.Sequence{readiness.ReadyLine{}}}, true},
	} {
		if readiness.OwnsLine(c.s, target, line) != c.want {
			t.Errorf("%v: want %v", c.s, c.want)
		}
		if readiness.OwnsLine(c.s, target, []byte("starting")) {
			t.Errorf("%v owns noise", c.s)
		}
	}
}

// A Sequence says what it waits for, in order.
func TestSequenceString(t *testing.T) {
	s := readiness.Sequence{readiness.ReadyLine{Prefix: "YOI-READY"}, readiness.Socket{}, learns(t, "", "")}
	const want = `the ready line "YOI-READY", then an answer on the socket, then the function github.com/podlaunch/podlaunch/readiness_test.TestSequenceString.learns.func1`
	if got := fmt.Sprint(s); got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

// Rule 10: one Sequence serves any number of waits at once.
func TestSequenceConcurrent(t *testing.T) {
	s := readiness.Sequence{readiness.ReadyLine{}, readiness.ProbeFunc(
		func(_ context.Context, target readiness.Target) (readiness.Endpoint, error) {
			return target.Endpoint, nil
		})}
	var all sync.WaitGroup
	for i := range 50 {
		all.Go(func() {
			want := address(fmt.Sprintf("/run/%d", i))
			e, err := s.Wait(t.Context(), target(t, logOf("INSOMNIA-READY\tpod\t"+want.Address)))
			if err != nil || e != want {
				t.Errorf("got %v, %v, want %v", e, err, want)
			}
		})
	}
	all.Wait()
}
