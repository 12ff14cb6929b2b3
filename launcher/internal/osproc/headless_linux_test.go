package osproc_test

import (
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/podlaunch/podlaunch/launcher/internal/limits"
	"github.com/podlaunch/podlaunch/launcher/internal/osproc"
)

// A process whose main thread has ended has the descriptors of its other threads, also while one
// of these executes a program.
func TestLockHolderWithoutMainThread(t *testing.T) {
	for role, start := range map[string]func(*testing.T, ...func(*exec.Cmd)) child{"headless": startHeadless, "reexec": startReexec} {
		held, lock := newLock(t)
		c := start(t, func(c *exec.Cmd) { c.ExtraFiles = []*os.File{held} })
		held.Close()
		holders, err := osproc.LockHolders(t.Context(), lock)
		if err != nil || len(holders) != 1 || holders[0].PID != c.Process.Pid || !holders[0].Given {
			t.Errorf("%s: %+v, %v, want pid %d", role, holders, err, c.Process.Pid)
		}
		for range 500 {
			if _, holds, err := osproc.LockHolderOf(c.Process.Pid, lock); !holds || err != nil {
				t.Fatalf("%s: it holds the lock: %v, %v", role, holds, err)
			}
		}
	}
}

// newLock returns a file that this program has locked, and which one it is.
func newLock(t *testing.T) (*os.File, osproc.LockFile) {
	t.Helper()
	f, err := os.Create(filepath.Join(t.TempDir(), "lock"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = f.Close() })
	var st unix.Stat_t
	if err := errors.Join(unix.Flock(int(f.Fd()), unix.LOCK_EX), unix.Fstat(int(f.Fd()), &st)); err != nil {
		t.Fatal(err)
	}
	return f, osproc.LockFile{Path: f.Name(), Dev: uint64(st.Dev), Inode: st.Ino}
}

// A look does not wait for a process without any variable, as if it were executing a program.
func TestEnvironWithoutMainThread(t *testing.T) {
	bare := startHeadless(t, func(c *exec.Cmd) { c.Args, c.Env = []string{"headless"}, []string{} })
	if environ, err := osproc.EnvironOf(bare.Process.Pid); len(environ) > 0 || err != nil {
		t.Errorf("without variables: %q, %v", environ, err)
	}
	some := startHeadless(t)
	if environ, err := osproc.EnvironOf(some.Process.Pid); len(environ) == 0 || err != nil {
		t.Errorf("with some: %q, %v", environ, err)
	}
}

// Who lacks a descriptor to look with does not find that nobody holds the lock.
func TestLockHolderWithoutDescriptors(t *testing.T) {
	_, ok, err := osproc.LockHolderOf(os.Getpid(), osproc.LockFile{Path: "lock", Inode: 1})
	if ok || err != nil {
		t.Fatalf("%v, %v", ok, err)
	}
	limits.WithDescriptors(t, 0, func() {
		_, ok, err = osproc.LockHolderOf(os.Getpid(), osproc.LockFile{Path: "lock", Inode: 1})
	})
	if ok || !errors.Is(err, unix.EMFILE) {
		t.Errorf("%v, %v, want %v", ok, err, unix.EMFILE)
	}
}

// By cgroup.kill the kernel does not end a process whose main thread has ended. Kill does.
func TestCgroupKillWithoutMainThread(t *testing.T) {
	c, err := osproc.PlanCgroup("", "podlaunch-headless-"+strconv.Itoa(os.Getpid()))
	if err == nil {
		err = c.Make()
	}
	switch {
	case errors.Is(err, errors.ErrUnsupported), errors.Is(err, fs.ErrPermission), errors.Is(err, unix.EROFS):
		t.Skipf("no cgroup can be made here: %v", err)
	case err != nil:
		t.Fatal(err)
	}
	defer c.Close()
	dir, err := os.Open(c.Path())
	if err != nil {
		t.Fatal(err)
	}
	defer dir.Close()
	headless := startHeadless(t, func(cmd *exec.Cmd) {
		cmd.SysProcAttr.UseCgroupFD, cmd.SysProcAttr.CgroupFD = true, int(dir.Fd())
	})
	if left, err := c.Left(); err != nil || len(left) != 1 || left[0].PID != headless.Process.Pid {
		t.Fatalf("in it are %v, %v, want pid %d", left, err, headless.Process.Pid)
	}
	if err := c.Kill(); err != nil {
		t.Error(err)
	}
	<-c.Emptied(t.Context())
	headless.Wait()
	if err := c.Remove(); err != nil {
		t.Error(err)
	}
}
