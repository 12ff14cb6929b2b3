package osproc

import (
	"context"
	"errors"
	"os"
	"unsafe"

	"golang.org/x/sys/unix"
)

// waitid calls waitid(2) for children that have ended. It returns a siginfo without a
// pid if flags has WNOHANG and none has.
func waitid(idType, id, flags int) (info siginfo, err error) {
	err = unix.EINTR
	for errors.Is(err, unix.EINTR) {
		err = unix.Waitid(idType, id, (*unix.Siginfo)(unsafe.Pointer(&info)), unix.WEXITED|flags, nil)
	}
	return info, err
}

// peek returns a child that has ended, which stays a zombie, or 0 if none has. The
// error is ECHILD if there is no such child.
func peek(idType, id int) (pid int, err error) {
	info, err := waitid(idType, id, unix.WNOHANG|unix.WNOWAIT)
	return int(info.pid), err
}

// peekChild is peek for the process called pid, to which pidfd refers. A kernel before
// Linux 5.4 has no P_PIDFD, and the filter of a container may refuse it with an error of
// its choice: then the number is asked about. Only ECHILD says that there is no such child.
func peekChild(pidfd, pid int) (ended bool, err error) {
	got, err := peek(unix.P_PIDFD, pidfd)
	if err != nil && !errors.Is(err, unix.ECHILD) {
		got, err = peek(unix.P_PID, pid)
	}
	return got != 0, err
}

// isChild reports whether the process called pid, to which pidfd refers, is a child of
// ours that nobody has reaped.
func isChild(pidfd, pid int) bool {
	_, err := peekChild(pidfd, pid)
	if err == nil || errors.Is(err, unix.ECHILD) {
		return err == nil
	}
	st, err := ReadStat(pid) // waitid(2) is not to be had
	return err == nil && st.Parent == os.Getpid()
}

// reapIf reaps a child that has ended, and is the right one by its Stat. The pidfd is
// opened before the Stat is read, so that no other child is reaped if the number
// becomes another's in between. It reports false if the child could not be reaped now;
// that there is no such child any more is true.
func reapIf(pid int, right func(Stat) bool) bool {
	pidfd, pidfdErr := unix.PidfdOpen(pid, 0)
	if pidfdErr == nil {
		defer unix.Close(pidfd)
	}
	st, err := ReadStat(pid)
	if err != nil {
		return isGone(err)
	}
	if !right(st) {
		return true
	}
	switch {
	case pidfdErr == nil:
		return reapBy(unix.P_PIDFD, pidfd, pid)
	case isRefused(pidfdErr):
		return reapBy(unix.P_PID, pid, pid)
	}
	return errors.Is(pidfdErr, unix.ESRCH)
}

// reapBy reaps the child called pid, if it has ended. It reports false if it has not.
func reapBy(idType, id, pid int) bool {
	info, err := waitid(idType, id, unix.WNOHANG)
	switch {
	case err == nil || errors.Is(err, unix.ECHILD):
		return info.pid != 0 || err != nil
	case idType == unix.P_PIDFD: // see peekChild
		return reapBy(unix.P_PID, pid, pid)
	}
	reaped, err := unix.Wait4(pid, nil, unix.WNOHANG, nil)
	return reaped == pid || errors.Is(err, unix.ECHILD)
}

// awaitReaper waits a moment until somebody else has reaped the child that pidfd
// refers to.
func awaitReaper(pidfd, pid int) {
	ctx, cancel := context.WithTimeout(context.Background(), reaperPatience)
	defer cancel()
	until(ctx, func() bool { return !isChild(pidfd, pid) })
}
