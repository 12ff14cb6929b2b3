//go:build linux

package launcher_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/sys/unix"

	"github.com/podlaunch/podlaunch/launcher"
	"github.com/podlaunch/podlaunch/launcher/internal/podrig"
	"github.com/podlaunch/podlaunch/readiness"
)

// C1: an exit with status 0 is a failure as well, and told as such.
func c01(t *testing.T) {
	r := newRig(t, "say one", "exit 0")
	r.exitEarly(exited(0), "one\n", "one")
	r.L.Command = podrig.Script()
	e := r.exitEarly(exited(0), "")
	podrig.MustSay(t, e, "without a word")
	r.Relaunch("alice")
}

// C2: the status, all lines of a few and their end are in the error.
func c02(t *testing.T) {
	r := newRig(t, "repeat 12 line %d", "exit 3")
	e := r.exitEarly(exited(3), numbered("line", 12), strings.Split(strings.TrimSuffix(numbered("line", 12), "\n"), "\n")...)
	podrig.MustSay(t, e, "before becoming ready: line 0 | line 1 | … | line 6 | line 7 | line 8 | line 9 | line 10 | line 11 (exit status 3")
	r.Relaunch("alice")
}

// numbered is what the step "repeat n text %d" writes.
func numbered(text string, n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, "%s %d\n", text, i)
	}
	return b.String()
}

// C3: the last words count though no newline ends them: in the tail, and for
// the callback.
func c03(t *testing.T) {
	r := newRig(t, `write "one\ntwo"`, "exit 1")
	r.exitEarly(exited(1), "one\ntwo", "one", "two")
	var lines []string
	r.Fail(t.Context(), launcher.Spec{Name: "alice", Progress: func(line string) { lines = append(lines, line) }})
	if want := []string{"one", "two"}; !slices.Equal(lines, want) {
		t.Errorf("Progress got %q, want %q", lines, want)
	}
	r.Relaunch("alice")
}

// C4: the error names the signal, and says whether there is a core dump.
func c04(t *testing.T) {
	for _, sig := range []syscall.Signal{syscall.SIGKILL, syscall.SIGSEGV, syscall.SIGABRT, syscall.SIGTERM} {
		t.Run(sig.String(), func(t *testing.T) {
			// A shell, for Go's runtime does not die of SIGSEGV. Whether it leaves a
			// core is the system's decision, and so a witness dies first.
			crash := fmt.Sprintf("cd %q; ulimit -c unlimited 2>/dev/null; echo one >&2; kill -%d $$", t.TempDir(), sig)
			var status *exec.ExitError
			if err := exec.Command("/bin/sh", "-c", crash).Run(); !errors.As(err, &status) {
				t.Fatalf("the shell did not die: %v", err)
			}
			r := newRig(t)
			r.L.Command = launcher.Exec("/bin/sh", "-c", crash)
			want := launcher.Exit{Signal: sig, CoreDumped: status.Sys().(syscall.WaitStatus).CoreDump(), Known: true}
			r.exitEarly(want, "one\n", "one")
			r.Relaunch("alice")
		})
	}
}

// C5: a pod that has said it is ready, and exits before anybody could dial its
// socket, has exited early; the error tells how far it came.
func c05(t *testing.T) {
	r := newRig(t, "say one", "ready", "exit 4")
	e := r.exitEarly(exited(4), "one\n"+readyLine("alice", r.sock()), "one")
	pendingSays(t, e, "an answer on unix:"+r.sock(), "attempts: ", "no such file")
	r.Relaunch("alice")
}

// C17: processes that the pod has started, and that hold its stderr open, go
// with the pod when the launch fails, and keep nobody from seeing its end.
func c17(t *testing.T) {
	t.Run("pod exits", func(t *testing.T) {
		r := newRig(t)
		up := r.Fifo("up")
		r.L.Command = podrig.Script("say one", "spawn say two ; notify "+up+" ; hang", "await "+up, "exit 5")
		r.exitEarly(exited(5), "one\ntwo\n", "one", "two")
		r.Relaunch("alice")
	})
	t.Run("pod hangs", func(t *testing.T) {
		r := newRig(t)
		up := r.Fifo("up")
		e := r.expireAfter("spawn say two ; notify "+up+" ; hang", "await "+up)
		mustHaveTail(t, e, "two")
		r.Relaunch("alice")
	})
	t.Run("pod was ready", func(t *testing.T) {
		r := newRig(t)
		up, end, last := r.Fifo("up"), r.Fifo("end"), r.Fifo("last")
		r.L.Command = podrig.Script("spawn notify "+up+" ; await "+last, "await "+up, "listen", "ready", "await "+end, "exit 5")
		pod := r.Launch(launcher.Spec{Name: "alice"})
		release(t, end)
		if exit, err := pod.Wait(t.Context()); err != nil || exit != exited(5) {
			t.Errorf("Wait returned %v, %v", exit, err)
		}
		release(t, last) // it is still there
	})
}

// C19: a launch that fails does not ask.
func c19(t *testing.T) {
	r := newRig(t)
	e := r.expireAfter("ignore 15", "ignore 2", "ignore 1", "say one")
	mustHaveTail(t, e, "one")
	r.Relaunch("alice")
}

// C20: a stopped pod is killed like any other, and the error says that it was
// stopped.
func c20(t *testing.T) {
	r := newRig(t, "say one", "kill 19")
	d := podrig.NewDeadline()
	r.L.Ready = readiness.Sequence{hook(func(target readiness.Target) {
		awaitState(t, target.PID, unix.WSTOPPED)
		d.Pass()
	}), readiness.ReadyLine{}}
	e := r.expire(d, launcher.Spec{Name: "alice"})
	podrig.MustSay(t, e, "the process is stopped")
	mustHaveTail(t, e, "one")
	r.Relaunch("alice")
}

// C32: the process is the pod, no matter which program it runs.
func c32(t *testing.T) {
	steps := []string{"say two", "listen", "ready", "hang"}
	t.Run("a shell", func(t *testing.T) {
		r := newRig(t)
		pod := podrig.Script(steps...)
		r.L.Command = launcher.CommandResolverFunc(func(ctx context.Context, req launcher.Request) (launcher.Command, error) {
			c, err := pod.ResolveCommand(ctx, req)
			return launcher.Command{
				Path: "/bin/sh",
				Args: append([]string{"-c", `echo one >&2; exec "$0" "$@"`, c.Path}, c.Args...),
			}, err
		})
		mustServeAsImage(t, r)
	})
	t.Run("itself", func(t *testing.T) {
		mustServeAsImage(t, newRig(t, "say one", "exec "+strings.Join(steps, " ; ")))
	})
}

// mustServeAsImage launches a pod that says one, executes another image, and
// that says two.
func mustServeAsImage(t *testing.T, r *rig) {
	t.Helper()
	var lines []string
	pod := r.Launch(launcher.Spec{Name: "alice", Progress: func(line string) { lines = append(lines, line) }})
	podrig.Ping(t, pod)
	if want := []string{"one", "two"}; !slices.Equal(lines, want) {
		t.Errorf("Progress got %q, want %q", lines, want)
	}
	if image, err := os.Readlink(fmt.Sprintf("/proc/%d/exe", pod.PID())); err != nil || image != podrig.Pod {
		t.Errorf("the pod's pid runs %q (%v), want %q", image, err, podrig.Pod)
	}
}

// C33: nothing that a launch needs is read from a process which nobody may look
// into.
func c33(t *testing.T) {
	r := newRig(t, "undumpable", "say one", "listen", "ready", "hang")
	pod := r.Launch(launcher.Spec{Name: "alice"})
	podrig.Ping(t, pod)
	if err := pod.Stop(t.Context()); err != nil {
		t.Error(err)
	}
	r.L.Command = podrig.Script("undumpable", "say one", "exit 3")
	r.exitEarly(exited(3), "one\n", "one")
}

// C34: of a pod's end, its readiness, the deadline and the caller's giving up
// in one instant, being ready counts first, then the exit.
func c34(t *testing.T) {
	atOnce := func(what string, run func(t *testing.T)) {
		t.Run(what, func(t *testing.T) { synctest.Test(t, run) })
	}
	atOnce("exit and deadline", func(t *testing.T) {
		f := newFake(t)
		f.l.Ready = readiness.ReadyLine{}
		f.proc.endAt(time.Now().Add(f.l.Timeout), exited(7))
		mustExitAt(t, f, t.Context(), f.l.Timeout)
	})
	atOnce("exit and cancellation", func(t *testing.T) {
		f := newFake(t)
		f.l.Ready = readiness.ReadyLine{}
		f.proc.endAt(time.Now().Add(time.Second), exited(7))
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(time.Second, cancel)
		mustExitAt(t, f, ctx, time.Second)
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

// mustExitAt launches f, whose process writes two lines and ends with status 7
// at the instant at from then, and expects the error of that.
func mustExitAt(t *testing.T, f *fake, ctx context.Context, at time.Duration) {
	t.Helper()
	f.log.write("one\ntwo")
	_, err := f.l.Launch(ctx, launcher.Spec{Name: "alice"})
	var e *launcher.Error
	if !errors.As(err, &e) {
		t.Fatalf("Launch returned %v, want a *launcher.Error", err)
	}
	podrig.MustBe(t, e, launcher.ErrExitedEarly)
	if errors.Is(e, launcher.ErrTimeout) || errors.Is(e, context.Canceled) {
		t.Errorf("the exit lost to what came in the same instant: %v", e)
	}
	mustHaveEnded(t, e, exited(7))
	mustHaveTail(t, e, "one", "two")
	if e.Elapsed != at {
		t.Errorf("it took %v, want %v", e.Elapsed, at)
	}
}

// C35: all that a pod writes just before its end reaches the callback, in
// order, before the error.
func c35(t *testing.T) {
	const n = 10_000
	r := newRig(t, fmt.Sprintf("repeat %d line %%d", n), "exit 2")
	var got strings.Builder
	e := r.Fail(t.Context(), launcher.Spec{Name: "alice", Progress: func(line string) { got.WriteString(line + "\n") }})
	podrig.MustBe(t, e, launcher.ErrExitedEarly)
	mustHaveEnded(t, e, exited(2))
	want := numbered("line", n)
	if got.String() != want || e.Dropped != 0 {
		t.Errorf("Progress got %d lines, %d dropped, want all %d in order", strings.Count(got.String(), "\n"), e.Dropped, n)
	}
	if r.ReadLog("alice") != want {
		t.Error("the log does not hold all lines")
	}
	lines := strings.Split(strings.TrimSuffix(want, "\n"), "\n")
	mustHaveTail(t, e, lines[n-64:]...)
	r.Relaunch("alice")
}

// sock is where the fake pod's socket is by default.
func (r *rig) sock() string { return filepath.Join(r.Dir("alice"), "sock") }

// readyLine is what the step "ready socket" writes.
func readyLine(name, socket string) string {
	return readiness.DefaultPrefix + "\t" + name + "\t" + socket + "\n"
}
