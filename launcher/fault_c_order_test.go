package launcher_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/podlaunch/podlaunch/launcher"
	"github.com/podlaunch/podlaunch/readiness"
)

// c34 launches processes that end, and pods that become ready, in the very
// instant in which the launch's time is over or its caller gives up.
func c34(t *testing.T) {
	atOnce := func(what string, run func(t *testing.T)) {
		t.Run(what, func(t *testing.T) { synctest.Test(t, run) })
	}
	atOnce("exit and deadline", func(t *testing.T) {
		f := newFake(t)
		f.l.Ready = readiness.ReadyLine{}
		f.proc.endAt(time.Now().Add(f.l.Timeout), launcher.Exit{Code: 7, Known: true})
		f.log.write("one\ntwo")
		_, err := f.l.Launch(t.Context(), launcher.Spec{Name: "alice"})
		mustHaveExited(t, err, f.l.Timeout)
	})
	atOnce("exit and cancellation", func(t *testing.T) {
		f := newFake(t)
		f.l.Ready = readiness.ReadyLine{}
		f.log.write("one\ntwo")
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(time.Second, func() {
			f.proc.end(launcher.Exit{Code: 7, Known: true})
			cancel()
		})
		_, err := f.l.Launch(ctx, launcher.Spec{Name: "alice"})
		mustHaveExited(t, err, time.Second)
	})
	atOnce("ready and deadline", func(t *testing.T) {
		f := newFake(t)
		where := readiness.Endpoint{Network: "unix", Address: "/fake/sock"}
		f.l.Ready = readiness.ProbeFunc(func(ctx context.Context, _ readiness.Target) (readiness.Endpoint, error) {
			<-ctx.Done()
			return where, nil
		})
		pod, err := f.l.Launch(t.Context(), launcher.Spec{Name: "alice"})
		if err != nil {
			t.Fatal(err)
		}
		if pod.Endpoint() != where {
			t.Errorf("the pod is at %v, want %v", pod.Endpoint(), where)
		}
		if err := pod.Stop(t.Context()); err != nil {
			t.Error(err)
		}
	})
}

// mustHaveExited checks the error of a process that ended with status 7 after
// the lines one and two, at the instant at from its start.
func mustHaveExited(t *testing.T, err error, at time.Duration) {
	t.Helper()
	var e *launcher.Error
	if !errors.As(err, &e) {
		t.Fatalf("Launch returned %v, want a *launcher.Error", err)
	}
	mustBe(t, e, launcher.ErrExitedEarly)
	if errors.Is(e, launcher.ErrTimeout) || errors.Is(e, context.Canceled) {
		t.Errorf("the exit lost to what came in the same instant: %v", e)
	}
	if e.Exit == nil || e.Exit.Code != 7 || len(e.Tail) != 2 || e.Tail[1] != "two" || e.Elapsed != at {
		t.Errorf("the error lacks evidence: %+v, exit %v", e, e.Exit)
	}
}

func TestFaultC(t *testing.T) {
	t.Run("C34", c34)
}
