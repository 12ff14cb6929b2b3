package unixproc

import (
	"os/exec"
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
