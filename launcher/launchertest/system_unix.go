//go:build unix

package launchertest

import (
	"errors"
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// sigCont wakes a process that is stopped.
const sigCont = syscall.SIGCONT

// shell is the program that the Starter runs, unless the Case says otherwise.
const shell = "/bin/sh"

// inheritable returns a descriptor of this process that its children get unless
// somebody sees to it.
func inheritable(f *os.File) (fd int, closeIt func(), err error) {
	fd, err = syscall.Dup(int(f.Fd()))
	return fd, func() { syscall.Close(fd) }, err
}

// sessionAndGroup returns those of a process.
func sessionAndGroup(pid int) (session, group int, err error) {
	if session, err = unix.Getsid(pid); err != nil {
		return 0, 0, err
	}
	group, err = unix.Getpgid(pid)
	return session, group, err
}

// isThere reports whether there is a process, or its zombie.
func isThere(pid int) bool { return !errors.Is(syscall.Kill(pid, 0), syscall.ESRCH) }
