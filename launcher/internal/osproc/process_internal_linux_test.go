package osproc

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime/debug"
	"strconv"
	"strings"
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

// pollable closes a descriptor that the poller cannot have. reapedExit knows no exit of a
// descriptor that is not a pidfd.
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
		start := func() error {
			if tries++; tries < 3 {
				return unix.ETXTBSY
			}
			return want
		}
		if err := whileBusy(t.Context(), start); err != want || tries != 3 {
			t.Errorf("after %d tries the error is %v, want %v after 3", tries, err, want)
		}
	}
}

// If a filter of system calls refuses a signal, Signal returns that error. It does not
// say that the process is gone, since it cannot trust the number.
func TestRefusedSignalIsTold(t *testing.T) {
	r, w, err := os.Pipe() // for which pidfd_send_signal(2) is EBADF
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	defer w.Close()
	p := &Process{pid: 1 << 30, pidfd: r, ended: make(chan struct{})}
	if err := p.SignalFirst(t.Context(), unix.SIGTERM); !errors.Is(err, unix.EBADF) {
		t.Errorf("SignalFirst returned %v, want %v", err, unix.EBADF)
	}
	// Before Linux 6.9 a group is not signalled in this way, and its number is not trusted.
	want := error(unix.EBADF)
	if errors.Is(signalGroup(int(r.Fd()), 0), unix.EINVAL) {
		want = os.ErrProcessDone
	}
	if err := p.Signal(t.Context(), unix.SIGTERM); !errors.Is(err, want) {
		t.Errorf("Signal returned %v, want %v", err, want)
	}
}

// After SIGKILL Reap waits for the group, and names who is left when there is no more
// time.
func TestReapNamesWhoIsLeft(t *testing.T) {
	stdin, in, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer stdin.Close()
	defer in.Close() // which ends the member
	out, stdout, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	p, err := Start(t.Context(), Command{Path: "/bin/sh", Args: []string{"-c", "exec 3<&0; cat <&3 & echo $!; exec cat"}, Files: []*os.File{stdin, stdout}})
	stdout.Close()
	if err != nil {
		t.Fatal(err)
	}
	var member int
	if _, err := fmt.Fscanln(out, &member); err != nil {
		t.Fatal(err)
	}
	if err := unix.Kill(p.pid, unix.SIGKILL); err != nil { // the leader alone
		t.Fatal(err)
	}
	if _, err := p.Wait(t.Context()); err != nil {
		t.Fatal(err)
	}
	p.killed = true // as if the member took no notice
	done, cancel := context.WithCancel(t.Context())
	cancel()
	if err := p.Reap(done); err == nil || !strings.Contains(err.Error(), strconv.Itoa(member)) {
		t.Errorf("Reap returned %v, want an error that names pid %d", err, member)
	}
}
