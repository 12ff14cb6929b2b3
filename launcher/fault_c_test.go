//go:build linux

package launcher_test

import (
	"context"
	"errors"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/podlaunch/podlaunch/launcher"
	"github.com/podlaunch/podlaunch/launcher/internal/leaktest"
	"github.com/podlaunch/podlaunch/launcher/internal/podrig"
	"github.com/podlaunch/podlaunch/readiness"
)

// TestFaultC injects the faults of part C of the catalogue: what a pod may do
// wrong, or at a bad moment, once it runs. Each case is called by its number,
// so that `go test -run TestFault/C07` runs it.
//
// C12, C16, C18, C29 and C31 are about who owns a name, and C28 and the second
// half of C11 about what is documented and not built; they are not here.
func TestFaultC(t *testing.T) {
	leaktest.Parallel(t)
	for _, c := range []struct {
		name string
		test func(t *testing.T)
	}{
		{"C01 exit 0 before ready", c01},
		{"C02 exit 3 before ready", c02},
		{"C03 last line without newline", c03},
		{"C04 killed by a signal", c04},
		{"C05 exit between ready line and socket", c05},
		{"C06 somebody else answers and the pod dies", c06},
		{"C07 never binds", c07},
		{"C08 binds late", c08},
		{"C09 binds and says nothing", c09},
		{"C10 accept queue full", c10},
		{"C11 accepts and never serves", c11},
		{"C13 no stream socket", c13},
		{"C14 squatter of our user", c14},
		{"C15 socket of another user", c15},
		{"C17 grandchildren hold stderr", c17},
		{"C19 ignores SIGTERM", c19},
		{"C20 stops itself", c20},
		{"C21 cannot be killed", c21},
		{"C22 deletes the log", c22},
		{"C23 truncates the log", c23},
		{"C24 rotates the log", c24},
		{"C25 removes its runtime directory", c25},
		{"C26 closes or redirects stderr", c26},
		{"C27 floods", c27},
		{"C30 ready line of a helper", c30},
		{"C32 executes another image", c32},
		{"C33 undumpable", c33},
		{"C34 several ends in one instant", c34},
		{"C35 10,000 lines and exit", c35},
	} {
		t.Run(c.name, c.test)
	}
}

// expire launches a pod that does not become ready before d has passed, and
// checks what holds for every timeout.
func (r *rig) expire(d *podrig.Deadline, spec launcher.Spec) *launcher.Error {
	r.T.Helper()
	e := r.Fail(d, spec)
	if after := time.Since(d.At); after > podrig.Late {
		r.T.Errorf("Launch returned %v after its deadline", after)
	}
	podrig.MustBe(r.T, e, launcher.ErrTimeout, context.DeadlineExceeded)
	if e.Stage != launcher.StageReady || e.Exit != nil {
		r.T.Errorf("a timeout has stage %q and exit %v, want %q and none", e.Stage, e.Exit, launcher.StageReady)
	}
	return e
}

// expireAfter is expire for a pod that follows steps and then hangs: the
// deadline passes when it has taken them all.
func (r *rig) expireAfter(steps ...string) *launcher.Error {
	r.T.Helper()
	taken := r.Fifo("taken")
	r.L.Command = podrig.Script(append(steps, "notify "+taken, "hang")...)
	d := podrig.NewDeadline()
	d.PassAt(r.T, taken)
	return r.expire(d, launcher.Spec{Name: "alice"})
}

// exitEarly launches a pod that exits before it is ready, checks how, and what
// evidence it left: tail, and in the log all that it wrote.
func (r *rig) exitEarly(want launcher.Exit, written string, tail ...string) *launcher.Error {
	r.T.Helper()
	e := r.Fail(r.T.Context(), launcher.Spec{Name: "alice"})
	podrig.MustBe(r.T, e, launcher.ErrExitedEarly)
	podrig.MustSay(r.T, e, launcher.ErrExitedEarly.Error(), want.String(), e.LogPath)
	if e.Stage != launcher.StageReady {
		r.T.Errorf("stage %q, want %q", e.Stage, launcher.StageReady)
	}
	mustHaveEnded(r.T, e, want)
	mustHaveTail(r.T, e, tail...)
	if got := r.ReadLog("alice"); got != written {
		r.T.Errorf("the log holds %q, want %q", got, written)
	}
	return e
}

// exited is how a process ends that exits by itself.
func exited(code int) launcher.Exit { return launcher.Exit{Code: code, Known: true} }

func mustHaveEnded(t *testing.T, e *launcher.Error, want launcher.Exit) {
	t.Helper()
	if e.Exit == nil {
		t.Errorf("the error does not tell how the pod ended, want %v: %v", want, e)
	} else if *e.Exit != want {
		t.Errorf("the pod ended as %+v, want %+v", *e.Exit, want)
	}
}

func mustHaveTail(t *testing.T, e *launcher.Error, want ...string) {
	t.Helper()
	if !slices.Equal(e.Tail, want) {
		t.Errorf("the tail is %q, want %q", e.Tail, want)
	}
}

// pendingSays fails the test unless e tells that readiness was still waiting
// for something described by all parts.
func pendingSays(t *testing.T, e *launcher.Error, parts ...string) {
	t.Helper()
	for _, part := range parts {
		if !strings.Contains(e.Pending, part) {
			t.Errorf("what was pending lacks %q: %q", part, e.Pending)
		}
	}
	podrig.MustSay(t, e, e.Pending)
}

// hook is a probe that runs f, once, in the place where it stands in a
// Sequence.
func hook(f func(t readiness.Target)) readiness.Probe {
	return readiness.ProbeFunc(func(_ context.Context, t readiness.Target) (readiness.Endpoint, error) {
		f(t)
		return t.Endpoint, nil
	})
}

// awaitState waits until the child pid has changed its state in one of the ways
// that options names (waitid(2)), and leaves the report of it to others.
func awaitState(t *testing.T, pid, options int) {
	err := error(unix.EINTR)
	for errors.Is(err, unix.EINTR) {
		err = unix.Waitid(unix.P_PID, pid, nil, options|unix.WNOWAIT, nil)
	}
	if err != nil {
		t.Errorf("wait for a change of pid %d: %v", pid, err)
	}
}

// release lets a pod go on that takes the step "await fifo".
func release(t *testing.T, fifo string) {
	f, err := os.OpenFile(fifo, os.O_WRONLY, 0) // returns once the pod has opened its end
	if err != nil {
		t.Error(err)
		return
	}
	f.Close()
}
