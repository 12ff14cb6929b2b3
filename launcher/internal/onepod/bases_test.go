//go:build linux

package onepod_test

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/podlaunch/podlaunch/launcher"
	"github.com/podlaunch/podlaunch/launcher/internal/leaktest"
	"github.com/podlaunch/podlaunch/launcher/internal/podrig"
	"github.com/podlaunch/podlaunch/runtimedir"
)

// unmarked has the pods of l lose the id of their launch, as those do that write over their
// environment.
func unmarked(l *launcher.Launcher) { behind(l, `unset POD_LAUNCH_ID; exec "$0" "$@"`) }

// The locks of two bases on two filesystems may have one inode number. What is done with a name
// in one of them does nothing to the pod of that name in the other.
func TestSameInodeNumber(t *testing.T) {
	r := newRig(t, podrig.Serve...)
	unmarked(&r.L)
	var all [2]launcher.Launcher
	var inodes [2]uint64
	var pods [2]*launcher.Pod
	for i := range all {
		base := filepath.Join(r.Base, string(rune('a'+i)))
		if err := os.Mkdir(base, 0o700); err != nil {
			t.Fatal(err)
		}
		if err := unix.Mount("none", base, "tmpfs", 0, "mode=700"); err != nil {
			t.Skipf("mounting is refused here: %v", err)
		}
		defer unix.Unmount(base, unix.MNT_DETACH)
		all[i] = r.L
		all[i].Dir = runtimedir.Dir(base)
		var err error
		if pods[i], err = all[i].Launch(t.Context(), podrig.Alice); err != nil {
			t.Fatal(err)
		}
		defer pods[i].Kill(context.Background())
		var st syscall.Stat_t
		if err := syscall.Stat(filepath.Join(base, ".alice.pod"), &st); err != nil {
			t.Fatal(err)
		}
		inodes[i] = st.Ino
	}
	if inodes[0] != inodes[1] {
		t.Fatalf("the locks have the inode numbers %v", inodes)
	}
	stay, other := pods[0], &all[1]
	if err := pods[1].Stop(t.Context()); err != nil {
		t.Error(err)
	}
	podrig.MustLive(t, stay)
	if err := os.Remove(filepath.Join(string(other.Dir.(runtimedir.Dir)), ".alice.json")); err != nil {
		t.Fatal(err)
	}
	if err := other.Stop(t.Context(), "alice"); err != nil { // without a record it asks for holders
		t.Error(err)
	}
	podrig.MustLive(t, stay)
	other.Command = launcher.Exec("/bin/sh", "-c", "exit 3")
	if _, err := other.Launch(t.Context(), podrig.Alice); err == nil {
		t.Error("a pod that exits was ready")
	}
	podrig.MustLive(t, stay)
	if err := other.Stop(t.Context(), "alice"); err != nil {
		t.Error(err)
	}
	podrig.MustLive(t, stay)
}

// A filesystem becomes read-only when its disk fails. The pods below it run, and can be found and
// ended.
func TestReadOnlyBase(t *testing.T) {
	r := newRig(t, podrig.Serve...)
	pod := r.Launch(podrig.Alice)
	readOnly := t.TempDir()
	if err := unix.Mount(r.Base, readOnly, "", unix.MS_BIND, ""); err != nil {
		t.Skipf("mounting is refused here: %v", err)
	}
	defer unix.Unmount(readOnly, unix.MNT_DETACH)
	if err := unix.Mount("", readOnly, "", unix.MS_REMOUNT|unix.MS_BIND|unix.MS_RDONLY, ""); err != nil {
		t.Fatal(err)
	}
	l := r.L
	l.Dir = runtimedir.Dir(readOnly)
	attached, err := l.Attach(t.Context(), "alice")
	if err != nil {
		t.Fatal(err)
	}
	attached.Release()
	for s, err := range l.List(t.Context()) {
		if err != nil || s.State != launcher.StateReady {
			t.Errorf("List yields %+v, %v", s, err)
		}
	}
	if _, err := l.Launch(t.Context(), launcher.Spec{Name: "bob"}); !errors.Is(err, syscall.EROFS) {
		t.Errorf("another launch: %v", err)
	}
	for range 2 {
		if err := l.Stop(t.Context(), "alice"); err != nil {
			t.Error(err)
		}
	}
	<-pod.Done()
	for s, err := range l.List(t.Context()) {
		if err != nil || s.State != launcher.StateGone {
			t.Errorf("List yields %+v, %v", s, err)
		}
	}
}

// A base can be moved, and be mounted in two places: the pods go with it. A copy of a base has no
// pods, and does nothing to those of the other.
func TestBaseElsewhere(t *testing.T) {
	leaktest.Parallel(t)
	for _, c := range []struct {
		name  string
		bring func(from, to string) error
		copy  bool
	}{
		{"moved", os.Rename, false},
		{"mounted", func(from, to string) error {
			return errors.Join(os.Mkdir(to, 0o700), unix.Mount(from, to, "", unix.MS_BIND, ""))
		}, false},
		{"copied", func(from, to string) error { return exec.Command("cp", "-a", from, to).Run() }, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := newRig(t, podrig.Serve...)
			from, to := filepath.Join(r.Base, "from"), filepath.Join(r.Base, "to")
			if err := os.Mkdir(from, 0o700); err != nil {
				t.Fatal(err)
			}
			first := r.L
			first.Dir = runtimedir.Dir(from)
			pod, err := first.Launch(t.Context(), podrig.Alice)
			if err != nil {
				t.Fatal(err)
			}
			defer pod.Kill(context.Background())
			if err := c.bring(from, to); errors.Is(err, syscall.EPERM) {
				t.Skipf("mounting is refused here: %v", err)
			} else if err != nil {
				t.Fatal(err)
			}
			defer unix.Unmount(to, unix.MNT_DETACH)
			second := r.L
			second.Dir = runtimedir.Dir(to)
			err = second.Remove(t.Context(), "alice")
			if c.copy {
				podrig.MustSay(t, err, "it is a copy of the record in", from, "ask in that base")
				podrig.MustLive(t, pod)
				return
			}
			if err != nil {
				t.Error(err)
			}
			<-pod.Done()
			if left, err := os.ReadDir(to); err != nil || len(left) > 0 {
				t.Errorf("there are left %v, %v", left, err)
			}
		})
	}
}
