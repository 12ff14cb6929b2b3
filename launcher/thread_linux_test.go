package launcher_test

import (
	"errors"
	"os"
	"runtime"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/podlaunch/podlaunch/launcher"
)

// onLockedThread runs f in a goroutine that is locked to a thread, which ends with it:
// so f may restrict the thread.
func onLockedThread(f func()) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		runtime.LockOSThread()
		if unix.Gettid() == unix.Getpid() { // the main thread would stay, and be restricted
			defer runtime.UnlockOSThread()
			onLockedThread(f)
			return
		}
		f()
	}()
	<-done
}

// W12: Launch forks the process on its caller's thread, as os/exec does. The process has
// that thread's restrictions.
func TestPodIsRestrictedAsItsThread(t *testing.T) {
	onLockedThread(func() {
		if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
			t.Error(err)
			return
		}
		pod := stillRig(t).Launch(launcher.Spec{Name: "alice"})
		if got := status(t, pod.PID(), "NoNewPrivs")["NoNewPrivs"]; got != "1" {
			t.Errorf("NoNewPrivs of the pod is %s, and that of the thread 1", got)
		}
		mustStop(t, pod)
	})
	pod := stillRig(t).Launch(launcher.Spec{Name: "alice"})
	if got := status(t, pod.PID(), "NoNewPrivs"); got["NoNewPrivs"] != status(t, os.Getpid(), "NoNewPrivs")["NoNewPrivs"] {
		t.Errorf("NoNewPrivs of a pod of another thread is %s", got)
	}
}

// W12: the same for a network namespace, where the tests may make one. Without rights
// there is nothing to see here that the other test does not show.
func TestPodIsInTheNamespaceOfItsThread(t *testing.T) {
	onLockedThread(func() {
		err := unix.Unshare(unix.CLONE_NEWNET)
		if errors.Is(err, unix.EPERM) {
			return
		}
		if err != nil {
			t.Error(err)
			return
		}
		pod := stillRig(t).Launch(launcher.Spec{Name: "alice"})
		want, err := os.Readlink("/proc/thread-self/ns/net")
		if err != nil {
			t.Error(err)
		}
		if got := procLink(t, pod.PID(), "ns/net"); got != want || got == procLink(t, os.Getpid(), "ns/net") {
			t.Errorf("the pod is in %s, and its thread in %s", got, want)
		}
		mustStop(t, pod)
	})
}
