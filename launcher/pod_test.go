//go:build linux

package launcher_test

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/podlaunch/podlaunch/launcher"
	"github.com/podlaunch/podlaunch/launcher/internal/leaktest"
	"github.com/podlaunch/podlaunch/launcher/internal/podrig"
)

// E4: a pod that ends on SIGTERM gets nothing else, and is reaped when Stop
// returns. E6, E9: stopping a pod that is gone is no error, however often.
func TestStop(t *testing.T) {
	r := newRig(t, podrig.Serve...)
	pod := r.Launch(launcher.Spec{Name: "alice"})
	for range 3 {
		if err := pod.Stop(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	select {
	case <-pod.Done():
	default:
		t.Error("Done is open after Stop")
	}
	for range 2 {
		exit, err := pod.Wait(t.Context())
		if err != nil || !exit.Known || exit.Signal != syscall.SIGTERM {
			t.Errorf("Wait returned %v, %v", exit, err)
		}
	}
}

// E5, C19: SIGTERM is ignored, so SIGKILL comes after the grace. E6: any number
// of callers share one grace and all see the end.
func TestStopKillsAfterGrace(t *testing.T) {
	leaktest.Parallel(t)
	r := newRig(t, append([]string{"ignore 15"}, podrig.Serve...)...)
	r.L.Grace = podrig.Short
	pod := r.Launch(launcher.Spec{Name: "alice"})
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			if err := pod.Stop(t.Context()); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if exit, err := pod.Wait(t.Context()); err != nil || exit.Signal != syscall.SIGKILL {
		t.Errorf("Wait returned %v, %v", exit, err)
	}
}

// A negative grace means SIGKILL at once.
func TestStopWithoutGrace(t *testing.T) {
	r := newRig(t, podrig.Serve...)
	r.L.Grace = -1
	pod := r.Launch(launcher.Spec{Name: "alice"})
	if err := pod.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	if exit, err := pod.Wait(t.Context()); err != nil || exit.Signal != syscall.SIGKILL {
		t.Errorf("Wait returned %v, %v", exit, err)
	}
}

// Once ctx is done Stop returns its cause, and says what the pod was sent. A
// later Stop goes on where that one ended.
func TestStopIsBoundedByItsContext(t *testing.T) {
	r := newRig(t, append([]string{"ignore 15"}, podrig.Serve...)...)
	pod := r.Launch(launcher.Spec{Name: "alice"})
	enough := errors.New("enough")
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(enough)
	err := pod.Stop(ctx)
	podrig.MustBe(t, err, enough)
	podrig.MustSay(t, err, "alice", strconv.Itoa(pod.PID()), "SIGTERM")
	podrig.Ping(t, pod)
	if err := syscall.Kill(pod.PID(), syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	if err := pod.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// Kill without any time sends SIGKILL all the same.
func TestKillWithoutTime(t *testing.T) {
	r := newRig(t, append([]string{"ignore 15"}, podrig.Serve...)...)
	pod := r.Launch(launcher.Spec{Name: "alice"})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := pod.Kill(ctx); err != nil && !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	if exit, err := pod.Wait(t.Context()); err != nil || exit.Signal != syscall.SIGKILL {
		t.Errorf("Wait returned %v, %v", exit, err)
	}
}

// E8: what outlives the leader of a pod that is stopped is killed while the
// leader is still a zombie, and is gone when Stop returns.
func TestStopEndsTheGroup(t *testing.T) {
	r := newRig(t, "spawn ignore 15 ; hang", "spawn hang", "listen", "ready", "hang")
	r.L.Grace = podrig.Short
	pod := r.Launch(launcher.Spec{Name: "alice"})
	if err := pod.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	podrig.MustBeGone(t, pod.PID())
}

// A pod that is stopped (SIGSTOP) is woken to notice SIGTERM.
func TestStopWakesAStoppedPod(t *testing.T) {
	r := newRig(t, podrig.Serve...)
	pod := r.Launch(launcher.Spec{Name: "alice"})
	if err := syscall.Kill(pod.PID(), syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	if err := pod.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	if exit, err := pod.Wait(t.Context()); err != nil || exit.Signal != syscall.SIGTERM {
		t.Errorf("Wait returned %v, %v", exit, err)
	}
}

// E1: the Pod reports the end of a ready pod and how it ended, and no zombie stays.
// Processes that it started and left behind are not killed: it ended by itself.
func TestExitIsTold(t *testing.T) {
	r := newRig(t)
	wake, alive := r.Fifo("wake"), r.Fifo("alive")
	r.L.Command = podrig.Script("spawn await "+alive, "listen", "ready", "await "+wake, "exit 7")
	pod := r.Launch(launcher.Spec{Name: "alice"})
	podrig.Wake(t, wake)
	exit, err := pod.Wait(t.Context())
	if err != nil || exit.String() != "exit status 7" {
		t.Errorf("Wait returned %v, %v", exit, err)
	}
	<-pod.Done()
	// Opening the FIFO for writing would block for ever if its reader were
	// dead.
	podrig.Wake(t, alive)
}

// D7: the context bounds the launch only; a Wait that gives up says why.
func TestContextBoundsTheLaunchOnly(t *testing.T) {
	r := newRig(t, podrig.Serve...)
	ctx, cancel := context.WithCancel(t.Context())
	pod, err := r.L.Launch(ctx, launcher.Spec{Name: "alice"})
	if err != nil {
		t.Fatal(err)
	}
	defer pod.Stop(t.Context())
	cancel()
	podrig.Ping(t, pod)
	_, err = pod.Wait(ctx)
	podrig.MustBe(t, err, context.Canceled)
	select {
	case <-pod.Done():
		t.Error("the pod is gone")
	default:
	}
}

// Release gives back the goroutine and the descriptor, and leaves the pod
// alone; its zombie goes with the next launch.
func TestRelease(t *testing.T) {
	r := newRig(t, podrig.Serve...)
	pod, err := r.L.Launch(t.Context(), launcher.Spec{Name: "alice"})
	if err != nil {
		t.Fatal(err)
	}
	before := pidfds(t)
	pod.Release()
	pod.Release()
	if after := pidfds(t); after != before-1 {
		t.Errorf("%d pidfds before Release, %d after it", before, after)
	}
	podrig.Ping(t, pod)
	for name, err := range map[string]error{"Wait": second(pod.Wait(t.Context())), "Stop": pod.Stop(t.Context())} {
		if err == nil || !strings.Contains(err.Error(), "released") {
			t.Errorf("%s of a released pod returned %v", name, err)
		}
	}
	if err := syscall.Kill(pod.PID(), syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	// Looks, without reaping, until it can be reaped.
	var info unix.Siginfo
	if err := unix.Waitid(unix.P_PID, pod.PID(), &info, unix.WEXITED|unix.WNOWAIT, nil); err != nil {
		t.Fatal(err)
	}
	r.Launch(launcher.Spec{Name: "bob"})
	if _, err = os.Stat(filepath.Join("/proc", strconv.Itoa(pod.PID()))); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the zombie of the released pod is still there: %v", err)
	}
}

func second[A any](_ A, err error) error { return err }

func pidfds(t *testing.T) (n int) {
	t.Helper()
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if target, _ := os.Readlink("/proc/self/fd/" + e.Name()); strings.Contains(target, "pidfd") {
			n++
		}
	}
	return n
}

// D17: with SIGCHLD ignored the kernel reaps children itself. The end is still
// noticed, and not made up, and the whole group can still be ended. Run in a
// process of its own, for os/signal cannot undo Ignore.
func TestSIGCHLDIgnored(t *testing.T) {
	const role = "PODLAUNCH_TEST_IGNORE_SIGCHLD"
	if os.Getenv(role) == "" {
		c := exec.Command(os.Args[0], "-test.run=^TestSIGCHLDIgnored$", "-test.v")
		c.Env = append(os.Environ(), role+"=1")
		if out, err := c.CombinedOutput(); err != nil {
			t.Errorf("%v\n%s", err, out)
		}
		return
	}
	signal.Ignore(syscall.SIGCHLD)
	r := newRig(t, "say bye", "exit 3")
	e := r.Fail(t.Context(), launcher.Spec{Name: "alice"})
	podrig.MustBe(t, e, launcher.ErrExitedEarly)
	podrig.MustSay(t, e, "bye")
	if e.Exit == nil || e.Exit.Known && e.Exit.Code != 3 {
		t.Errorf("Exit is %+v", e.Exit)
	}
	r.L.Command = podrig.Script("spawn ignore 15 ; hang", "listen", "ready", "hang")
	r.L.Grace = podrig.Short
	pod := r.Launch(launcher.Spec{Name: "alice"})
	if err := pod.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	if exit, err := pod.Wait(t.Context()); err != nil || exit.Known && exit.Signal != syscall.SIGTERM {
		t.Errorf("Wait returned %+v, %v", exit, err)
	}
}

// Dial says which pod could not be dialled.
func TestDialFails(t *testing.T) {
	r := newRig(t, podrig.Serve...)
	pod := r.Launch(launcher.Spec{Name: "alice"})
	if err := pod.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	conn, err := pod.Dial(t.Context())
	if err == nil {
		conn.Close()
		t.Fatal("a pod that is gone was dialled")
	}
	podrig.MustBe(t, err, syscall.ECONNREFUSED)
	podrig.MustSay(t, err, "alice")
}
