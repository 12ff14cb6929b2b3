package readiness_test

import (
	"context"
	"errors"
	"io/fs"
	"testing"

	"github.com/podlaunch/podlaunch/readiness"
)

// The Func adapter passes on what it is given, both ways.
func TestProbeFunc(t *testing.T) {
	wrong := errors.New("no")
	want := readiness.Endpoint{Network: "tcp", Address: "127.0.0.1:1"}
	var p readiness.Probe = readiness.ProbeFunc(func(ctx context.Context, target readiness.Target) (readiness.Endpoint, error) {
		if ctx != t.Context() || target.Name != "pod" || target.PID != 7 {
			t.Errorf("got %v, %+v", ctx, target)
		}
		return want, wrong
	})
	e, err := p.Wait(t.Context(), readiness.Target{Name: "pod", PID: 7})
	if e != want || err != wrong {
		t.Errorf("got %v, %v", e, err)
	}
}

// An endpoint prints as network and address, and none does not print as one.
func TestEndpointString(t *testing.T) {
	for _, c := range []struct {
		e    readiness.Endpoint
		want string
	}{
		{readiness.Endpoint{}, "no endpoint"},
		{readiness.Endpoint{Network: "unix", Address: "/run/sock"}, "unix:/run/sock"},
		{readiness.Endpoint{Network: "tcp", Address: "[::1]:80"}, "tcp:[::1]:80"},
		{readiness.Endpoint{Network: "unix"}, "unix:"},
	} {
		if got := c.e.String(); got != c.want {
			t.Errorf("%#v is %q, want %q", c.e, got, c.want)
		}
	}
}

// Row 17: what was still missing is one line with the attempts, the last error,
// the notes and the cause, and errors.Is finds both errors.
func TestPendingError(t *testing.T) {
	for _, c := range []struct {
		e    readiness.PendingError
		want string
	}{
		{readiness.PendingError{}, "still waiting for the pod: over"},
		{readiness.PendingError{Attempts: 3}, "still waiting for the pod: over"},
		{readiness.PendingError{Last: fs.ErrNotExist}, "still waiting for the pod (last error: file does not exist): over"},
		{
			readiness.PendingError{Attempts: 3, Last: fs.ErrNotExist},
			"still waiting for the pod (attempts: 3, last error: file does not exist): over",
		},
		{
			readiness.PendingError{Attempts: 3, Last: fs.ErrNotExist, Notes: []string{"one", "two"}},
			"still waiting for the pod (attempts: 3, last error: file does not exist); one; two: over",
		},
	} {
		cause := errors.New("over")
		c.e.Waiting, c.e.Cause = "the pod", cause
		if got := c.e.Error(); got != c.want || got != c.e.Pending()+": over" {
			t.Errorf("got %q, want %q", got, c.want)
		}
		if !errors.Is(&c.e, cause) || errors.Is(&c.e, fs.ErrNotExist) != (c.e.Last != nil) {
			t.Errorf("it wraps %v", c.e.Unwrap())
		}
	}
}
