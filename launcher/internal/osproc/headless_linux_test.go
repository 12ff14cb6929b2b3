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

	"github.com/podlaunch/podlaunch/launcher/internal/osproc"
)

// A process whose main thread has ended has the descriptors of its other threads.
func TestLockHolderWithoutMainThread(t *testing.T) {
	path := filepath.Join(t.TempDir(), "lock")
	lock, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer lock.Close()
	var st unix.Stat_t
	if err := errors.Join(unix.Flock(int(lock.Fd()), unix.LOCK_EX), unix.Fstat(int(lock.Fd()), &st)); err != nil {
		t.Fatal(err)
	}
	c := startHeadless(t, func(c *exec.Cmd) { c.ExtraFiles = []*os.File{lock} })
	lock.Close()
	holders, err := osproc.LockHolders(t.Context(), osproc.LockFile{Path: path, Dev: uint64(st.Dev), Inode: st.Ino})
	if err != nil || len(holders) != 1 || holders[0].PID != c.Process.Pid || !holders[0].Given {
		t.Errorf("%+v, %v, want pid %d", holders, err, c.Process.Pid)
	}
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
	var before unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &before); err != nil {
		t.Fatal(err)
	}
	none := before
	none.Cur = 3
	if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &none); err != nil {
		t.Fatal(err)
	}
	_, ok, err = osproc.LockHolderOf(os.Getpid(), osproc.LockFile{Path: "lock", Inode: 1})
	if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &before); err != nil {
		t.Fatal(err)
	}
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
