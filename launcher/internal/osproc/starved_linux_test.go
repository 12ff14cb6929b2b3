package osproc_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/podlaunch/podlaunch/launcher/internal/crashpoint"
	"github.com/podlaunch/podlaunch/launcher/internal/osproc"
)

// starvedBy are the calls that a lack of memory, or of descriptors, may make fail.
var starvedBy = []string{"fstat", "getdents64", "newfstatat", "openat", "pidfd_open", "poll", "ppoll", "read", "readlinkat", "statx"}

// Whichever call fails for want of memory, who asks about a process gets the right answer or an
// error: nobody is called gone, a thread no process, and no holder of a lock is missed.
func TestStarved(t *testing.T) {
	if testing.Short() {
		t.Skip("skipped with -short: each of many calls fails in a program of its own")
	}
	if !crashpoint.CanFail {
		t.Skip("not run, for no call can be made to fail on this architecture")
	}
	const few = 8 // of more calls of a name all fail, and not each alone
	for _, question := range []string{"a process", "a thread", "a group", "a lock"} {
		run := func(name string, n int) (counts map[string]int) {
			t.Helper()
			counts = make(map[string]int)
			result, err := crashpoint.Run(crashpoint.Program{
				Path:   os.Args[0],
				Env:    append(os.Environ(), roleVariable+"=starved", "QUESTION="+question),
				Stderr: os.Stderr,
				Fail: func(c crashpoint.Call) syscall.Errno {
					if counts[c.Name]++; c.Name == name && (n == 0 || counts[c.Name] == n) {
						return syscall.ENOMEM
					}
					return 0
				},
			}, 0)
			if err != nil || result.Status != 0 {
				t.Errorf("%s, if %s number %d fails: %v, %#x", question, name, n, err, result.Status)
			}
			return counts
		}
		counts := run("", 0)
		for _, name := range starvedBy {
			if counts[name] == 0 {
				continue
			}
			run(name, 0) // all of them
			for n := 1; n <= counts[name] && counts[name] <= few; n++ {
				run(name, n)
			}
		}
	}
}

// starved is a role: it asks about a child, which has a lock, or about a thread of its own. It
// fails if the answer is wrong, and not if there is none.
func starved(question string) error {
	dir, err := os.MkdirTemp("", "starved")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	file, err := os.Create(filepath.Join(dir, ".alice"+osproc.PodLock))
	if err == nil {
		err = unix.Flock(int(file.Fd()), unix.LOCK_EX)
	}
	if err != nil {
		return err
	}
	var st unix.Stat_t
	if err := unix.Fstat(int(file.Fd()), &st); err != nil {
		return err
	}
	lock := osproc.LockFile{Path: file.Name(), Dev: uint64(st.Dev), Inode: st.Ino}
	c := exec.Command("/bin/sleep", "1000")
	c.ExtraFiles = []*os.File{file}
	c.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := c.Start(); err != nil {
		return err
	}
	defer c.Wait()
	defer c.Process.Kill()
	pid := c.Process.Pid
	if _, err := osproc.Identify(pid); err != nil { // also what does not change is known from now on
		return err
	}
	thread := make(chan int)
	go func() {
		runtime.LockOSThread()
		thread <- unix.Gettid()
		select {}
	}()
	tid := <-thread
	believe := func(osproc.Identity) error { return nil }
	crashpoint.Begin()
	defer crashpoint.End()
	switch question {
	case "a process":
		if _, err := osproc.Prove(pid, believe); errors.Is(err, osproc.ErrGone) || errors.Is(err, osproc.ErrThread) {
			return fmt.Errorf("it lives: %w", err)
		}
	case "a thread":
		if id, err := osproc.Prove(tid, believe); err == nil {
			return fmt.Errorf("a thread is process %+v", id)
		}
	case "a group":
		if members, err := osproc.GroupMembers(pid); err == nil && !slices.Contains(members, pid) {
			return fmt.Errorf("the group has %v", members)
		}
	case "a lock":
		holders, err := osproc.LockHolders(context.Background(), lock)
		if err == nil && !slices.ContainsFunc(holders, func(h osproc.LockHolder) bool { return h.PID == pid }) {
			return fmt.Errorf("the lock has %+v", holders)
		}
	default:
		return fmt.Errorf("unknown question %q", question)
	}
	return nil
}
