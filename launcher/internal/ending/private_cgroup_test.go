//go:build linux

package ending_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/podlaunch/podlaunch/launcher"
	"github.com/podlaunch/podlaunch/launcher/internal/podrig"
	"github.com/podlaunch/podlaunch/runtimedir"
)

// privateIn has r launch private pods in the cgroup that it returns, and makes sure that
// nothing of them is left.
func privateIn(t *testing.T, r *rig) (cgroup string) {
	t.Helper()
	cgroup = newCgroup(t)
	t.Setenv("XDG_RUNTIME_DIR", r.Base)
	r.L.Dir, r.L.Starter = runtimedir.Temp{}, launcher.Local{Cgroup: cgroup}
	t.Cleanup(func() {
		left, err := filepath.Glob(filepath.Join(r.Base, "podlaunch", "*"))
		if _, baseErr := os.Lstat(filepath.Join(r.Base, "podlaunch")); err != nil || !errors.Is(baseErr, fs.ErrNotExist) {
			t.Errorf("of private pods there are %q (%v, %v)", left, err, baseErr)
		}
	})
	return cgroup
}

// another launches and ends one more private pod, and so sweeps what others have left.
func (r *rig) another() {
	r.T.Helper()
	r.L.Command = podrig.Script(podrig.Serve...)
	pod, err := r.L.Launch(r.T.Context(), launcher.Spec{})
	if err != nil {
		r.T.Fatal(err)
	}
	if err := pod.Kill(r.T.Context()); err != nil {
		r.T.Error(err)
	}
}

// killAndAwait ends a process and waits until it has ended.
func killAndAwait(t *testing.T, pid int) {
	t.Helper()
	fd, err := unix.PidfdOpen(pid, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	if err := unix.PidfdSendSignal(fd, unix.SIGKILL, nil, 0); err != nil {
		t.Fatal(err)
	}
	for {
		_, err := unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}, -1)
		if err == nil {
			return
		}
		if !errors.Is(err, unix.EINTR) {
			t.Fatal(err)
		}
	}
}

// The cgroup of a private pod that was released goes when the next one is launched, with
// its directory, and not before nobody is in it.
func TestReleasedPrivatePodLeavesItsCgroup(t *testing.T) {
	r := newRig(t, podrig.Serve...)
	cgroup := privateIn(t, r)
	pod, err := r.L.Launch(t.Context(), launcher.Spec{})
	if err != nil {
		t.Fatal(err)
	}
	pid := pod.PID()
	pod.Release()
	r.another()
	if left := below(t, cgroup); len(left) != 1 {
		t.Errorf("while it runs there are the cgroups %q, want its own", left)
	}
	killAndAwait(t, pid)
	r.another()
	if left := below(t, cgroup); len(left) != 0 {
		t.Errorf("the cgroups %q are left", left)
	}
}

// A private pod ends by itself, and a process without its lock and its environment stays in
// its cgroup. Once that has gone too, the cgroup goes with the next launch.
func TestPrivatePodLeavesSomebodyInItsCgroup(t *testing.T) {
	r := newRig(t)
	cgroup := privateIn(t, r)
	r.shell(`env -i setsid perl -MPOSIX -e 'POSIX::close(20); exec @ARGV' sh -c 'echo $$ >"$0"; exec sleep 1000' "$OUT/pids" & exec "$0" "$@"`, podrig.Serve...)
	pod, err := r.L.Launch(t.Context(), launcher.Spec{})
	if err != nil {
		t.Fatal(err)
	}
	left := r.await(1)[0]
	killAndAwait(t, pod.PID())
	if _, err := pod.Wait(t.Context()); err != nil {
		t.Fatal(err)
	}
	r.another()
	if !lives(left) || len(below(t, cgroup)) != 1 {
		t.Errorf("pid %d lives: %v, and there are the cgroups %q", left, lives(left), below(t, cgroup))
	}
	killAndAwait(t, left)
	r.another()
	if left := below(t, cgroup); len(left) != 0 {
		t.Errorf("the cgroups %q are left", left)
	}
}
