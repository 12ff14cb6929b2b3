//go:build unix

package launchertest

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
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

// children returns the children of this process that there are, where /proc tells,
// and what those that have ended have used.
func children() (all []string) {
	list, _ := os.ReadDir("/proc") // there may be none
	for _, e := range list {
		if _, err := strconv.Atoi(e.Name()); err != nil {
			continue
		}
		stat, err := os.ReadFile("/proc/" + e.Name() + "/stat")
		// pid (name) state parent: proc_pid_stat(5).
		rest := strings.Fields(string(stat[strings.LastIndexByte(string(stat), ')')+1:]))
		if err == nil && len(rest) > 1 && rest[1] == strconv.Itoa(os.Getpid()) {
			all = append(all, "process "+e.Name())
		}
	}
	var ended unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_CHILDREN, &ended); err == nil {
		all = append(all, fmt.Sprintf("one that has ended, after which all of these together have had %d page faults", ended.Minflt+ended.Majflt))
	}
	return all
}

// isWritten reports whether anybody still has the other end of a pipe open.
func isWritten(r *os.File) bool {
	conn, err := r.SyscallConn()
	if err != nil {
		return false
	}
	ended := true
	err = conn.Control(func(fd uintptr) {
		look := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}
		for {
			_, err := unix.Poll(look, 0)
			if errors.Is(err, unix.EINTR) {
				continue
			}
			ended = err != nil || look[0].Revents&(unix.POLLHUP|unix.POLLERR|unix.POLLNVAL) != 0
			return
		}
	})
	return err == nil && !ended
}
