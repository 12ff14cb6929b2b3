//go:build linux

package onepod_test

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/podlaunch/podlaunch/launcher"
	"github.com/podlaunch/podlaunch/launcher/internal/leaktest"
	"github.com/podlaunch/podlaunch/launcher/internal/podrig"
	"github.com/podlaunch/podlaunch/runtimedir"
)

// mustStop stops alice by name, and makes sure that the name is free then.
func (r *rig) mustStop() {
	r.T.Helper()
	if err := r.L.Stop(r.T.Context(), "alice"); err != nil {
		r.T.Fatal(err)
	}
	for _, suffix := range []string{".launch", ".pod"} {
		f, err := r.Lock(suffix)
		f.Close()
		if err != nil {
			r.T.Errorf("after Stop the lock %s is held: %v", suffix, err)
		}
	}
}

// leaves launches a pod that leaves a child behind, out of its group, which takes steps,
// and kills the first process of the pod. It returns the child's pid.
func (r *rig) leaves(steps string) int {
	r.T.Helper()
	pid, up := filepath.Join(r.Base, "pid"), r.Fifo("up")
	r.L.Command = podrig.Script("setsid "+steps+"pid "+pid+" ; notify "+up+" ; hang", "await "+up, "listen", "ready", "hang")
	pod := r.Launch(podrig.Alice)
	podrig.Kill(r.T, pod)
	left, err := strconv.Atoi(readPID(r.T, pid))
	if err != nil {
		r.T.Fatal(err)
	}
	r.T.Cleanup(func() { syscall.Kill(left, syscall.SIGKILL) })
	return left
}

// Stop ends the pod that runs, no matter which process launched it. Then the name is free.
func TestStopByName(t *testing.T) {
	leaktest.Parallel(t)
	t.Run("ours", func(t *testing.T) {
		r := newRig(t, podrig.Serve...)
		pod := r.Launch(podrig.Alice)
		r.mustStop()
		podrig.MustEndBy(t, pod, syscall.SIGTERM)
		if got := r.State(); got != launcher.StateGone {
			t.Errorf("List says %q", got)
		}
		r.mustStop() // once more is no error
		r.Relaunch("alice")
	})
	t.Run("released", func(t *testing.T) {
		r := newRig(t, podrig.Serve...)
		pod, err := r.L.Launch(t.Context(), podrig.Alice)
		if err != nil {
			t.Fatal(err)
		}
		pod.Release()
		r.mustStop()
		podrig.MustBeGone(t, pod.PID())
	})
	t.Run("takes no notice of SIGTERM", func(t *testing.T) {
		r := newRig(t, "onterm hang", "listen", "ready", "hang")
		r.L.Grace = time.Millisecond
		pod := r.Launch(podrig.Alice)
		r.mustStop()
		podrig.MustEndBy(t, pod, syscall.SIGKILL)
	})
	t.Run("has closed its descriptors", func(t *testing.T) {
		r := newRig(t, "closefrom 3", "listen", "ready", "hang")
		pod := r.Launch(podrig.Alice)
		r.mustStop()
		podrig.MustEndBy(t, pod, syscall.SIGTERM)
	})
	t.Run("its record is missing", func(t *testing.T) {
		r := newRig(t, podrig.Serve...)
		pod := r.Launch(podrig.Alice)
		if err := os.Remove(r.Beside("alice", ".json")); err != nil {
			t.Fatal(err)
		}
		r.mustStop()
		podrig.MustEndBy(t, pod, syscall.SIGTERM)
	})
	t.Run("was never ready", func(t *testing.T) {
		r := newRig(t, podrig.Serve...)
		pod := r.Launch(podrig.Alice)
		r.EditRecord(func(m map[string]any) { delete(m, "ready") })
		r.mustStop()
		podrig.MustEndBy(t, pod, syscall.SIGTERM)
	})
	t.Run("is gone, and has left somebody", func(t *testing.T) {
		r := newRig(t)
		r.leaves("")
		r.mustStop()
		r.mustBeDead(filepath.Join(r.Base, "pid"))
	})
	t.Run("is gone, and has left somebody who takes no notice", func(t *testing.T) {
		r := newRig(t)
		r.leaves("onterm hang ; ")
		r.L.Grace = time.Millisecond
		r.mustStop()
		r.mustBeDead(filepath.Join(r.Base, "pid"))
	})
}

// Stop and Remove of a name that nobody ever had make nothing.
func TestStopOfNobody(t *testing.T) {
	r := newRig(t, podrig.Serve...)
	for _, base := range []string{r.Base, filepath.Join(r.Base, "none")} {
		r.L.Dir = runtimedir.Dir(base)
		for _, end := range []func(context.Context, string) error{r.L.Stop, r.L.Remove} {
			if err := end(t.Context(), "alice"); err != nil {
				t.Error(err)
			}
		}
	}
	if entries, err := os.ReadDir(r.Base); err != nil || len(entries) > 0 {
		t.Errorf("there are %v, %v", entries, err)
	}
	for _, name := range []string{"", "..", "a/b"} {
		podrig.MustBe(t, r.L.Stop(t.Context(), name), runtimedir.ErrInvalidName)
		podrig.MustBe(t, r.L.Remove(t.Context(), name), runtimedir.ErrInvalidName)
	}
}

// If the launcher cannot tell whether a process is the pod, it does not signal it. The
// error names the call that failed, and says that the launcher cannot tell.
func TestStopOfWhatCannotBeTold(t *testing.T) {
	r := newRig(t, podrig.Serve...)
	pod := r.Launch(podrig.Alice)
	record := r.Beside("alice", ".json")
	good, err := os.ReadFile(record)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(record, []byte("[]"), 0o600); err != nil {
		t.Fatal(err)
	}
	podrig.MustSay(t, r.L.Stop(t.Context(), "alice"), "stop alice: whether the pod runs cannot be told", record)
	podrig.MustSay(t, r.L.Remove(t.Context(), "alice"), "remove alice: whether the pod runs cannot be told", record)
	podrig.MustLive(t, pod)
	if err := os.WriteFile(record, good, 0o600); err != nil {
		t.Fatal(err)
	}
	r.mustStop()
}

// Stop returns when ctx is done. Its error says whom it is about.
func TestStopByNameInVain(t *testing.T) {
	leaktest.Parallel(t)
	r := newRig(t, "onterm hang", "listen", "ready", "hang")
	r.L.Grace = time.Hour
	pod := r.Launch(podrig.Alice)
	enough := errors.New("enough")
	ctx, cancel := context.WithCancelCause(t.Context())
	time.AfterFunc(50*time.Millisecond, func() { cancel(enough) })
	err := r.L.Stop(ctx, "alice")
	podrig.MustBe(t, err, enough)
	podrig.MustSay(t, err, "stop alice: it was sent SIGTERM and is still there")
	var e *launcher.Error
	if !errors.As(err, &e) || e.PID != pod.PID() || e.Op != "stop" {
		t.Errorf("the error is %+v", e)
	}
	podrig.MustLive(t, pod)
	if err := syscall.Kill(pod.PID(), syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	r.mustStop()
}

// Stop waits for a launch that is under way, and stops what comes of it.
func TestStopDuringALaunch(t *testing.T) {
	r := newRig(t)
	up, gate := r.Fifo("up"), r.Fifo("gate")
	r.L.Command = podrig.Script("notify "+up, "await "+gate, "listen", "ready", "hang")
	launched := make(chan *launcher.Pod)
	go func() {
		pod, err := r.L.Launch(t.Context(), podrig.Alice)
		if err != nil {
			t.Error(err)
		}
		launched <- pod
	}()
	podrig.Await(t, up)
	stopped := make(chan error)
	go func() { stopped <- r.L.Stop(t.Context(), "alice") }()
	podrig.Wake(t, gate)
	if pod := <-launched; pod != nil {
		<-pod.Done()
	}
	if err := <-stopped; err != nil {
		t.Error(err)
	}
}

// Remove leaves no file of a name, no matter what there was.
func TestRemove(t *testing.T) {
	leaktest.Parallel(t)
	r := newRig(t, podrig.Serve...)
	for range 2 {
		pod := r.Launch(podrig.Alice)
		if err := r.L.Remove(t.Context(), "alice"); err != nil {
			t.Fatal(err)
		}
		podrig.MustEndBy(t, pod, syscall.SIGTERM)
	}
	// A pod without a record, and one without a lock.
	for _, suffix := range []string{".json", ".launch", ".pod"} {
		r.Launch(podrig.Alice)
		if err := os.Remove(r.Beside("alice", suffix)); err != nil {
			t.Fatal(err)
		}
		if err := r.L.Remove(t.Context(), "alice"); err != nil {
			t.Errorf("without %s: %v", suffix, err)
		}
	}
	if entries, err := os.ReadDir(r.Base); err != nil || len(entries) > 0 {
		t.Errorf("there are left %v, %v", entries, err)
	}
}

// A Resolver that cannot tell its base is asked for the directory.
func TestRemoveWithoutBase(t *testing.T) {
	r := newRig(t, podrig.Serve...)
	dir := runtimedir.Dir(r.Base)
	r.L.Dir = runtimedir.ResolverFunc(func(ctx context.Context, name string) (string, error) {
		return dir.RuntimeDir(ctx, "x"+name)
	})
	r.Launch(podrig.Alice)
	if err := os.Remove(r.Beside("alice", ".json")); err != nil {
		t.Fatal(err)
	}
	if err := r.L.Remove(t.Context(), "alice"); err != nil {
		t.Fatal(err)
	}
	if entries, err := os.ReadDir(r.Base); err != nil || len(entries) > 0 {
		t.Errorf("there are left %v, %v", entries, err)
	}
}

// What is mounted in the runtime directory would be emptied: that is an error, and
// nothing is removed.
func TestRemoveSparesMounts(t *testing.T) {
	r := newRig(t, podrig.Serve...)
	at := filepath.Join(r.Launch(podrig.Alice).RuntimeDir(), "mnt")
	if err := os.Mkdir(at, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := unix.Mount("none", at, "tmpfs", 0, ""); err != nil {
		t.Skipf("mounting is refused here: %v", err)
	}
	defer unix.Unmount(at, unix.MNT_DETACH)
	if err := os.WriteFile(filepath.Join(at, "precious"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	podrig.MustSay(t, r.L.Remove(t.Context(), "alice"), "remove alice: ", at, "is mounted", "unmount it")
	if _, err := os.Stat(filepath.Join(at, "precious")); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(r.Beside("alice", ".json")); err != nil {
		t.Error(err)
	}
	if err := unix.Unmount(at, 0); err != nil {
		t.Fatal(err)
	}
	if err := r.L.Remove(t.Context(), "alice"); err != nil {
		t.Error(err)
	}
}

// W2: a launch with Reclaim ends what a pod that is gone has left behind.
func TestReclaim(t *testing.T) {
	leaktest.Parallel(t)
	for name, get := range map[string]func(*launcher.Launcher) (*launcher.Pod, error){
		"Launch": func(l *launcher.Launcher) (*launcher.Pod, error) { return l.Launch(context.Background(), podrig.Alice) },
		"Ensure": func(l *launcher.Launcher) (*launcher.Pod, error) {
			pod, _, err := l.Ensure(context.Background(), podrig.Alice)
			return pod, err
		},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t)
			left := r.leaves("onterm hang ; ")
			r.L.Command = podrig.Script(podrig.Serve...)
			r.MustRefuse(t.Context(), &r.L, launcher.ErrHeld)
			if err := syscall.Kill(left, 0); err != nil {
				t.Fatalf("it was ended: %v", err)
			}
			r.L.Reclaim, r.L.Grace = true, time.Millisecond
			pod, err := get(&r.L)
			if err != nil {
				t.Fatal(err)
			}
			r.mustBeDead(filepath.Join(r.Base, "pid"))
			podrig.Ping(t, pod)
			// A pod that runs is no leftover.
			r.MustRefuse(t.Context(), &r.L, launcher.ErrRunning)
			if err := pod.Stop(t.Context()); err != nil {
				t.Error(err)
			}
		})
	}
}

// Each error begins with the call that was made, and says each fact once.
func TestErrorsSayWhatWasCalled(t *testing.T) {
	r := newRig(t, podrig.Serve...)
	_, err := r.L.Attach(t.Context(), "alice")
	podrig.MustBe(t, err, fs.ErrNotExist)
	podrig.MustSay(t, err, "attach alice: no such pod runs: there is no record of one (stage own, after ")
	pod := r.Launch(podrig.Alice)
	podrig.MustSay(t, r.MustRefuse(t.Context(), &r.L, launcher.ErrRunning), "launch alice: pod is running already as pid ")
	if err := pod.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	_, err = r.L.Attach(t.Context(), "alice")
	podrig.MustSay(t, err, "attach alice: no such pod runs: the process is gone (stage own, ")
	l := r.L
	l.Command = podrig.Script("exit 3")
	_, _, err = l.Ensure(t.Context(), podrig.Alice)
	podrig.MustSay(t, err, "ensure alice: pod exited before becoming ready")
	var ops []string
	for _, err := range []error{err, l.Stop(t.Context(), "..")} {
		var e *launcher.Error
		if errors.As(err, &e) {
			ops = append(ops, e.Op)
		}
	}
	if !slices.Equal(ops, []string{"ensure", "stop"}) {
		t.Errorf("Op is %q", ops)
	}
}
