//go:build linux || darwin || freebsd

package unixproc

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// Supported says whether processes can be started on this system.
const Supported = true

// SIGCONT wakes a process that is stopped.
const SIGCONT = syscall.SIGCONT

// Start starts c in a session and a group of its own, and returns once the program
// runs. ctx bounds the starting only. When Start fails it leaves no process and
// nothing open; its error wraps the system's own, and says what that means for a
// program: an interpreter that is missing, for instance. Where no process can be
// identified (see [Identify]) nothing is started.
func Start(ctx context.Context, c Command) (*Process, error) {
	if _, _, err := here(); err != nil {
		return nil, err
	}
	sweep()
	// Not by package os, which would ask whether it can be polled.
	null, err := unix.Open(os.DevNull, unix.O_RDWR|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("open the null device: %w", err)
	}
	defer unix.Close(null)
	fds := descriptors(c.Files, null)
	last := len(fds) - 1
	pidfd := -1
	attr := &syscall.ProcAttr{
		Dir: c.Dir,
		// Environ keeps the last value of each variable, and sets PWD where the
		// environment is the caller's.
		Env:   (&exec.Cmd{Env: c.Env, Dir: c.Dir}).Environ(),
		Files: fds,
		Sys:   sysProcAttr(&pidfd),
	}
	path, argv := withPIDEnv(c)
	if len(c.PIDEnv) > 0 {
		// The shell would say it on the log, and exit.
		if err := unix.Access(c.Path, unix.X_OK); err != nil {
			return nil, explainStart(err, c, last)
		}
	}
	pid, err := startProcess(ctx, path, argv, attr)
	runtime.KeepAlive(c.Files)
	if err != nil {
		return nil, explainStart(err, c, last)
	}
	return newProcess(pid, pidfd), nil
}

// descriptors returns what is to be the child's descriptors.
func descriptors(files []*os.File, null int) []uintptr {
	fds := make([]uintptr, max(len(files), firstFile))
	for i := range fds {
		switch {
		case i < len(files) && files[i] != nil:
			fds[i] = files[i].Fd()
		case i < firstFile:
			fds[i] = uintptr(null)
		default:
			fds[i] = closed
		}
	}
	return fds
}

// withPIDEnv returns the program to execute, and its arguments. Only the process
// itself knows its id before the program runs: where that is asked for, a shell
// sets the variables, and becomes the program.
func withPIDEnv(c Command) (path string, argv []string) {
	argv = append([]string{c.Path}, c.Args...)
	if len(c.PIDEnv) == 0 {
		return c.Path, argv
	}
	var script strings.Builder
	for _, name := range c.PIDEnv {
		fmt.Fprintf(&script, "export %s=$$; ", name)
	}
	script.WriteString(`exec "$0" "$@"`)
	return "/bin/sh", append([]string{"sh", "-c", script.String()}, argv...)
}

// startProcess starts a process, and tries again for a moment while the
// program is open for writing (ETXTBSY, execve(2)): somebody has just written
// it, or another thread forked while it was being written and its child has
// not come to its exec yet.
//
// It does not use os.StartProcess, whose Process holds a descriptor of its own
// and whose Wait blocks a thread for each process (golang.org/issue/60481).
func startProcess(ctx context.Context, path string, argv []string, attr *syscall.ProcAttr) (pid int, err error) {
	tried := func() bool {
		pid, err = forkExec(path, argv, attr)
		return !errors.Is(err, syscall.ETXTBSY)
	}
	if !tried() {
		bound, cancel := context.WithTimeout(ctx, 250*time.Millisecond)
		defer cancel()
		until(bound, tried)
	}
	return pid, err
}
