package unixproc

import (
	"os/exec"
	"path/filepath"
	"runtime/debug"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// zombie starts a process and waits until it has ended. The test reaps it.
func zombie(t *testing.T) (pid, pidfd int) {
	t.Helper()
	c := exec.Command("true")
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Wait() })
	pid = c.Process.Pid
	pidfd, err := unix.PidfdOpen(pid, 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := waitid(unix.P_PIDFD, pidfd, unix.WNOWAIT); err != nil {
		t.Fatal(err)
	}
	return pid, pidfd
}

// Wait tells of the end of a process also where its deadline has passed before it
// looks.
func TestEndCountsMoreThanTheDeadline(t *testing.T) {
	pid, pidfd := zombie(t)
	p := newProcess(pid, pidfd)
	if p.pidfd == nil {
		t.Fatal("its pidfd cannot be polled")
	}
	if err := p.pidfd.SetReadDeadline(time.Unix(1, 0)); err != nil {
		t.Fatal(err)
	}
	if exit, err := p.poll(t.Context()); err != nil || !exit.Known {
		t.Errorf("it has ended with %+v, %v", exit, err)
	}
	if err := p.Reap(t.Context()); err != nil {
		t.Error(err)
	}
	if ours.held[pid] != nil {
		t.Error("when it is reaped it is still in the table of children")
	}
}

// The parent of a process has a moment to reap it, where the kernel tells then how the
// process has ended.
func TestParentHasAMomentToReap(t *testing.T) {
	_, pidfd := zombie(t)
	defer unix.Close(pidfd)
	_, can := reapedExit(pidfd)
	began := time.Now()
	exit := awaitReapedExit(pidfd)
	if took := time.Since(began); exit.Known || can && took < reaperPatience {
		t.Errorf("after %v it has ended with %+v; the kernel tells: %v", took, exit, can)
	}
}

// A descriptor that the poller cannot have is closed, and one that is no pidfd tells of
// no exit.
func TestNoPidfd(t *testing.T) {
	defer debug.SetGCPercent(debug.SetGCPercent(-1)) // which would close an os.File
	fd, err := unix.Open(filepath.Join(t.TempDir(), "file"), unix.O_RDWR|unix.O_CREAT|unix.O_CLOEXEC, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	if exit, can := reapedExit(fd); exit.Known || can {
		t.Errorf("reapedExit returned %+v, %v", exit, can)
	}
	if file := pollable(fd); file != nil {
		t.Errorf("it is in the poller: %v", file)
	}
	if _, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0); err != unix.EBADF {
		t.Errorf("it is still open: %v", err)
	}
}

// An exit tells whether there was a core dump.
func TestExitOfSiginfo(t *testing.T) {
	for code, want := range map[int32]Exit{
		1: {Code: 6, Known: true},
		2: {Signal: 6, Known: true},
		3: {Signal: 6, CoreDumped: true, Known: true},
	} {
		info := siginfo{code: [2]int32{code, code}, stat: 6} // in either place
		if exit := info.exit(); exit != want {
			t.Errorf("with the code %d it is %+v, want %+v", code, exit, want)
		}
	}
}

// A program that is open for writing is tried again. Any other error is final.
func TestBusyProgramIsTriedAgain(t *testing.T) {
	for _, want := range []error{nil, unix.ENOENT} {
		tries := 0
		start := func(string, []string, *syscall.ProcAttr) (int, uintptr, error) {
			if tries++; tries < 3 {
				return 0, 0, unix.ETXTBSY
			}
			return 7, 0, want
		}
		if _, err := startProcess(t.Context(), start, "", nil, nil); err != want || tries != 3 {
			t.Errorf("after %d tries the error is %v, want %v after 3", tries, err, want)
		}
	}
}
