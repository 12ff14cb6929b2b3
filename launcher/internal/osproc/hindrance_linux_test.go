package osproc_test

import (
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/podlaunch/podlaunch/launcher/internal/osproc"
)

// A tracer keeps a process from ending.
func TestHindrance(t *testing.T) {
	if got := osproc.Hindrance(os.Getpid()); got != "" {
		t.Errorf("of this process it is %q", got)
	}
	runtime.LockOSThread() // it traces
	defer runtime.UnlockOSThread()
	traced := exec.Command("sleep", "1000")
	traced.SysProcAttr = &syscall.SysProcAttr{Ptrace: true}
	begin(t, traced)
	if got, want := osproc.Hindrance(traced.Process.Pid), fmt.Sprintf("process %d, ", os.Getpid()); !strings.HasPrefix(got, want) || !strings.HasSuffix(got, " traces it") {
		t.Errorf("of a process that is traced it is %q", got)
	}
}

// A wait in the kernel keeps it, too: the parent of a vfork waits in the kernel, until the child ends.
func TestHindranceInTheKernel(t *testing.T) {
	if runtime.GOARCH != "amd64" && runtime.GOARCH != "386" {
		t.Skip("the number of vfork(2) is that of x86-64, which the perl there is")
	}
	waits := exec.Command("perl", "-e", "syscall(58); sleep 1000")
	begin(t, waits)
	for deadline := time.Now().Add(time.Minute); osproc.Hindrance(waits.Process.Pid) != "it waits in the kernel, as for a disk"; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("it is %q", osproc.Hindrance(waits.Process.Pid))
		}
	}
}

// begin starts a command in a group of its own, which ends with the test.
func begin(t *testing.T, c *exec.Cmd) {
	t.Helper()
	if c.SysProcAttr == nil {
		c.SysProcAttr = &syscall.SysProcAttr{}
	}
	c.SysProcAttr.Setpgid = true
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		syscall.Kill(-c.Process.Pid, syscall.SIGKILL)
		c.Wait()
	})
}
