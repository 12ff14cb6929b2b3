package unixproc

import (
	"context"
	"errors"
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

// isChild reports whether the process that pidfd refers to is a child of ours that
// nobody has reaped. It reports false before Linux 5.4, which cannot tell.
func isChild(pidfd int) bool {
	_, err := peek(unix.P_PIDFD, pidfd)
	return err == nil
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
	case errors.Is(pidfdErr, unix.ENOSYS): // before Linux 5.3
		return reapBy(unix.P_PID, pid, pid)
	}
	return errors.Is(pidfdErr, unix.ESRCH)
}

// reapBy reaps the child called pid, if it has ended. It reports false if it has not.
func reapBy(idType, id, pid int) bool {
	info, err := waitid(idType, id, unix.WNOHANG)
	if errors.Is(err, unix.EINVAL) && idType == unix.P_PIDFD { // Linux 5.3 has no P_PIDFD
		return reapBy(unix.P_PID, pid, pid)
	}
	return info.pid != 0 || errors.Is(err, unix.ECHILD)
}

// awaitReaper waits a moment until somebody else has reaped the child that pidfd
// refers to.
func awaitReaper(pidfd int) {
	ctx, cancel := context.WithTimeout(context.Background(), reaperPatience)
	defer cancel()
	until(ctx, func() bool { return !isChild(pidfd) })
}
