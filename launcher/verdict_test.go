//go:build linux

package launcher_test

import (
	"context"
	"errors"
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/podlaunch/podlaunch/launcher"
	"github.com/podlaunch/podlaunch/launcher/internal/leaktest"
	"github.com/podlaunch/podlaunch/launcher/internal/podrig"
	"github.com/podlaunch/podlaunch/readiness"
)

// mustFail launches f's process, which must not become ready.
func (f *fake) mustFail(t *testing.T, ctx context.Context) *launcher.Error {
	t.Helper()
	pod, err := f.l.Launch(ctx, launcher.Spec{Name: "alice"})
	var e *launcher.Error
	if pod != nil || !errors.As(err, &e) {
		t.Fatalf("Launch returned %v, %v", pod, err)
	}
	return e
}

// Rule: a verdict of the probe's own wins over the exit, and carries it.
func TestVerdictOfTheProbeCarriesTheExit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake(t)
		verdict := errors.New("the database is corrupt")
		f.l.Ready = readiness.ProbeFunc(func(ctx context.Context, _ readiness.Target) (readiness.Endpoint, error) {
			<-ctx.Done()
			return readiness.Endpoint{}, verdict
		})
		f.proc.endAt(time.Now().Add(time.Second), launcher.Exit{Code: 4, Known: true})
		e := f.mustFail(t, t.Context())
		podrig.MustBe(t, e, verdict)
		if errors.Is(e, launcher.ErrExitedEarly) || e.Exit == nil || e.Exit.Code != 4 {
			t.Errorf("%+v", e)
		}
		podrig.MustSay(t, e, "exit status 4", verdict.Error())
	})
}

// A pod's last word may be behind gigabytes that the probe has still to read, or
// on another machine: the probe has as long for it as the tail.
func TestLastWordTakesTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake(t)
		verdict := errors.New("the database is corrupt")
		f.l.Ready = readiness.ProbeFunc(func(ctx context.Context, _ readiness.Target) (readiness.Endpoint, error) {
			<-ctx.Done()
			time.Sleep(1500 * time.Millisecond)
			return readiness.Endpoint{}, verdict
		})
		f.proc.endAt(time.Now().Add(time.Second), launcher.Exit{Code: 4, Known: true})
		e := f.mustFail(t, t.Context())
		podrig.MustBe(t, e, verdict)
		if e.Leftover != nil {
			t.Errorf("left over: %v", e.Leftover)
		}
	})
}

// Rule: a probe that returned what ended its context has no verdict, however
// it is wrapped.
func TestExitIsTheVerdictOfAProbeThatGaveUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake(t)
		f.l.Ready = readiness.ProbeFunc(func(ctx context.Context, target readiness.Target) (readiness.Endpoint, error) {
			for _, err := range target.Lines(ctx) {
				if err != nil {
					return readiness.Endpoint{}, errors.Join(errors.New("gave up"), err)
				}
			}
			return readiness.Endpoint{}, errors.New("the log has ended")
		})
		f.log.write("last words\n")
		f.proc.endAt(time.Now().Add(time.Second), launcher.Exit{Code: 4, Known: true})
		e := f.mustFail(t, t.Context())
		podrig.MustBe(t, e, launcher.ErrExitedEarly)
		podrig.MustSay(t, e, "pod exited before becoming ready: last words")
	})
}

// A probe that does not return is left to itself and named; the launch ends
// soon after its deadline all the same.
func TestStuckProbeIsNamed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake(t)
		release := make(chan struct{})
		f.l.Ready = readiness.ProbeFunc(func(context.Context, readiness.Target) (readiness.Endpoint, error) {
			<-release
			return readiness.Endpoint{}, nil
		})
		began := time.Now()
		e := f.mustFail(t, t.Context())
		if took := time.Since(began); took > f.l.Timeout+500*time.Millisecond {
			t.Errorf("Launch took %v", took)
		}
		podrig.MustBe(t, e, launcher.ErrTimeout, context.DeadlineExceeded)
		if e.Leftover == nil || !strings.Contains(e.Leftover.Error(), "has not returned") {
			t.Errorf("Leftover is %v", e.Leftover)
		}
		podrig.MustSay(t, e, "NOT CLEARED", "within 20s")
		close(release)
	})
}

// B33: a strategy that hangs in a call which no context ends does not hold the
// launch, and is named; what it makes afterwards is cleared away.
func TestLateStartIsCleared(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake(t)
		release := make(chan struct{})
		f.l.Starter = podrig.StarterFunc(func(context.Context, launcher.StartRequest) (launcher.Process, error) {
			<-release
			return f.proc, nil
		})
		began := time.Now()
		e := f.mustFail(t, t.Context())
		if took := time.Since(began); took > f.l.Timeout+500*time.Millisecond {
			t.Errorf("Launch took %v", took)
		}
		podrig.MustBe(t, e, launcher.ErrTimeout)
		if e.Stage != launcher.StageStart || e.Leftover == nil {
			t.Errorf("%+v", e)
		}
		close(release)
		<-f.proc.gone
		synctest.Wait()
		if exit := f.proc.exit; exit.Signal != 9 {
			t.Errorf("the late process ended with %v", exit)
		}
	})
}

// The cause that the caller gave its context is the reason.
func TestCauseOfCancellation(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake(t)
		f.l.Ready = readiness.ReadyLine{}
		ctx, cancel := context.WithCancelCause(t.Context())
		shutdown := errors.New("the host shuts down")
		time.AfterFunc(time.Second, func() { cancel(shutdown) })
		e := f.mustFail(t, ctx)
		podrig.MustBe(t, e, shutdown, context.Canceled)
		podrig.MustSay(t, e, "cancelled", shutdown.Error(), "still waiting for the ready line")
		if e.Elapsed != time.Second || e.Exit != nil {
			t.Errorf("%+v", e)
		}
	})
}

// Row 15: the context's own deadline counts as well, and a negative Timeout
// leaves it alone.
func TestDeadlines(t *testing.T) {
	for name, c := range map[string]struct {
		timeout, deadline, want time.Duration
	}{
		"default":            {0, 0, launcher.DefaultTimeout},
		"own":                {3 * time.Second, time.Minute, 3 * time.Second},
		"the caller's":       {0, time.Second, time.Second},
		"the caller's alone": {-1, time.Hour, time.Hour},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := newFake(t)
				f.l.Ready, f.l.Timeout = readiness.ReadyLine{}, c.timeout
				ctx := t.Context()
				if c.deadline > 0 {
					var cancel context.CancelFunc
					ctx, cancel = context.WithTimeout(ctx, c.deadline)
					defer cancel()
				}
				e := f.mustFail(t, ctx)
				podrig.MustBe(t, e, launcher.ErrTimeout, context.DeadlineExceeded)
				if e.Elapsed != c.want {
					t.Errorf("the launch took %v, want %v", e.Elapsed, c.want)
				}
			})
		})
	}
}

// C21: a process that does not go although it was sent SIGKILL does not hold
// the launch for ever, and is named by its pid.
func TestUnkillableIsNamed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake(t)
		f.l.Ready = readiness.ReadyLine{}
		f.l.Starter = podrig.StarterFunc(func(context.Context, launcher.StartRequest) (launcher.Process, error) {
			return unkillable{f.proc}, nil
		})
		e := f.mustFail(t, t.Context())
		podrig.MustBe(t, e, launcher.ErrTimeout)
		if e.Leftover == nil || !strings.Contains(e.Leftover.Error(), "process 4711 may still be running") {
			t.Errorf("Leftover is %v", e.Leftover)
		}
		// It goes at last, and is reaped all the same.
		f.proc.end(launcher.Exit{Code: 1, Known: true})
		time.Sleep(time.Minute) // of the bubble: who looks at the processes may wait for one that is in execve(2)
	})
}

// An unkillable process takes no notice of any signal.
type unkillable struct{ *fakeProcess }

func (unkillable) PID() int { return 4711 }

func (unkillable) Signal(context.Context, os.Signal) error { return nil }

// A process that has ended is not said to be running, although it is not known in time that all
// of it is cleared up.
func TestEndedIsNotSaidToRun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake(t)
		f.l.Ready = readiness.ReadyLine{}
		f.l.Starter = podrig.StarterFunc(func(context.Context, launcher.StartRequest) (launcher.Process, error) {
			return slowlyReaped{f.proc}, nil
		})
		e := f.mustFail(t, t.Context())
		podrig.MustBe(t, e, launcher.ErrTimeout)
		if e.Leftover == nil || strings.Contains(e.Leftover.Error(), "running") || !strings.Contains(e.Leftover.Error(), "has ended, but") {
			t.Errorf("Leftover is %v", e.Leftover)
		}
		time.Sleep(time.Hour) // of the bubble: it is reaped by then
	})
}

// A slowlyReaped process ends at once, and is reaped late.
type slowlyReaped struct{ *fakeProcess }

func (p slowlyReaped) Reap(ctx context.Context) error {
	time.Sleep(time.Minute)
	return p.fakeProcess.Reap(ctx)
}

// If a process cannot be watched any more, the launch does not say that it exited.
func TestWaitFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake(t)
		lost := errors.New("connection to the engine lost")
		f.l.Ready = readiness.ReadyLine{}
		f.l.Starter = podrig.StarterFunc(func(context.Context, launcher.StartRequest) (launcher.Process, error) {
			return unwatchable{f.proc, lost}, nil
		})
		e := f.mustFail(t, t.Context())
		podrig.MustBe(t, e, lost)
		if errors.Is(e, launcher.ErrExitedEarly) {
			t.Errorf("taken for an exit: %v", e)
		}
	})
}

type unwatchable struct {
	*fakeProcess
	err error
}

func (u unwatchable) Wait(context.Context) (launcher.Exit, error) { return launcher.Exit{}, u.err }

// Where the signal that should end the process of a launch that fails panics, the
// process is still reaped when it ends.
func TestProcessWhoseSignalPanicsIsReaped(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake(t)
		f.l.Starter = fakeStarter{panicking{f.proc}}
		f.l.Ready = readiness.ProbeFunc(func(context.Context, readiness.Target) (readiness.Endpoint, error) {
			return readiness.Endpoint{}, errors.New("it is not")
		})
		if panicked, _ := catch(func() { f.l.Launch(t.Context(), launcher.Spec{Name: "alice"}) }); panicked != "boom" {
			t.Errorf("panicked with %v", panicked)
		}
		f.proc.end(launcher.Exit{Known: true})
		synctest.Wait()
	})
}

// A panicking process does so at every signal.
type panicking struct{ *fakeProcess }

func (panicking) Signal(context.Context, os.Signal) error { panic("boom") }

// A probe that returns why its context ended adds nothing: the error says it once.
func TestTimeoutIsSaidOnce(t *testing.T) {
	leaktest.Parallel(t)
	r := newRig(t, "hang")
	r.L.Timeout = podrig.Short
	r.L.Ready = readiness.ProbeFunc(func(ctx context.Context, _ readiness.Target) (readiness.Endpoint, error) {
		<-ctx.Done()
		return readiness.Endpoint{}, context.Cause(ctx)
	})
	e := r.Fail(t.Context(), launcher.Spec{Name: "alice"})
	podrig.MustBe(t, e, launcher.ErrTimeout)
	if n := strings.Count(e.Error(), "did not become ready"); n != 1 {
		t.Errorf("it is said %d times: %v", n, e)
	}
}
