package osproc

import (
	"context"
	"errors"
	"os"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// reaperPatience is how long it may take the parent of a process that has ended to
// reap it, if it waits for that.
const reaperPatience = 128 * time.Millisecond

// pollable returns a pidfd as a file that waits in the runtime's poller. Where
// that cannot have it, for want of memory or because fs.epoll.max_user_watches is
// reached (epoll_ctl(2)), the pidfd is closed, and pollable returns nil.
func pollable(pidfd int) *os.File {
	// In blocking mode the runtime would not try. A pidfd has O_RDWR and no other flag.
	if _, err := unix.FcntlInt(uintptr(pidfd), unix.F_SETFL, unix.O_RDWR|unix.O_NONBLOCK); err != nil {
		unix.Close(pidfd)
		return nil
	}
	file := os.NewFile(uintptr(pidfd), "pidfd")
	if file.SetReadDeadline(time.Time{}) != nil { // os.ErrNoDeadline: it is not in the poller
		file.Close()
		return nil
	}
	return file
}

// hasEnded reports whether the process has ended. The error is ESRCH if there is no
// such process, and another if the kernel has no pidfd for it.
func hasEnded(pid int) (bool, error) {
	pidfd, err := unix.PidfdOpen(pid, 0)
	if err != nil {
		return false, err
	}
	defer unix.Close(pidfd)
	return pollEnd(pidfd)
}

// pollEnd reports whether the process that pidfd refers to has ended.
func pollEnd(pidfd int) (bool, error) {
	poll := []unix.PollFd{{Fd: int32(pidfd), Events: unix.POLLIN}}
	n, err := unix.Poll(poll, 0)
	for errors.Is(err, unix.EINTR) {
		n, err = unix.Poll(poll, 0)
	}
	if isRefused(err) {
		return epollEnd(pidfd)
	}
	return n > 0, err
}

// epollEnd is pollEnd by epoll_pwait(2). Package runtime calls that, too: a filter of system
// calls that refuses it lets no Go program run.
func epollEnd(pidfd int) (bool, error) {
	epoll, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return false, err
	}
	defer unix.Close(epoll)
	event := unix.EpollEvent{Events: unix.EPOLLIN}
	if err := unix.EpollCtl(epoll, unix.EPOLL_CTL_ADD, pidfd, &event); err != nil {
		return false, err
	}
	for {
		n, _, errno := unix.Syscall6(unix.SYS_EPOLL_PWAIT, uintptr(epoll), uintptr(unsafe.Pointer(&event)), 1, 0, 0, 0)
		if errno == 0 {
			return n > 0, nil
		}
		if errno != unix.EINTR {
			return false, errno
		}
	}
}

// isRefused reports whether err is that of a call which the kernel does not know, or
// which the filter of a container refuses.
func isRefused(err error) bool {
	return errors.Is(err, unix.ENOSYS) || errors.Is(err, unix.EPERM) || errors.Is(err, unix.EACCES) || errors.Is(err, unix.EINVAL)
}

// processGroup is PIDFD_SIGNAL_PROCESS_GROUP. Tests set a flag that no kernel knows.
var processGroup = 1 << 2

// signalGroup sends sig to the process group whose number is the pid of the
// process that pidfd refers to. That works, and hits nobody else, also when
// the process is reaped and its number used again (PIDFD_SIGNAL_PROCESS_GROUP,
// pidfd_send_signal(2), since Linux 6.9; before that it is EINVAL).
func signalGroup(pidfd int, sig unix.Signal) error {
	return unix.PidfdSendSignal(pidfd, sig, nil, processGroup)
}

// awaitReapedExit returns how a process ended that another process reaps. If the kernel
// does not remember that, it returns an Exit that is not Known. It waits a moment: the
// parent may need a moment to reap the process, and waitid(2) answers ECHILD just before
// the kernel has stored the exit. If the parent never reaps it, the Exit is not Known.
func awaitReapedExit(pidfd int) Exit {
	ctx, cancel := context.WithTimeout(context.Background(), reaperPatience)
	defer cancel()
	var exit Exit
	until(ctx, func() bool {
		var can bool
		exit, can = reapedExit(pidfd)
		return exit.Known || !can
	})
	return exit
}

// reapedExit returns how a process ended that was reaped, if the kernel knows by now
// (PIDFD_INFO_EXIT of the ioctl PIDFD_GET_INFO, since Linux 6.15;
// include/uapi/linux/pidfd.h). can is false if this kernel never tells.
func reapedExit(pidfd int) (exit Exit, can bool) {
	const (
		infoExit = 1 << 3     // PIDFD_INFO_EXIT
		getInfo  = 0xc040ff0b // PIDFD_GET_INFO for the first version of the struct; not so on MIPS and PowerPC
	)
	info := struct {
		mask     uint64
		cgroup   uint64
		_        [11]uint32 // pids and credentials
		exitCode int32
	}{mask: infoExit}
	errno := unix.EINTR
	for errors.Is(errno, unix.EINTR) {
		_, _, errno = unix.Syscall(unix.SYS_IOCTL, uintptr(pidfd), getInfo, uintptr(unsafe.Pointer(&info)))
	}
	if errno != 0 || info.mask&infoExit == 0 {
		return Exit{}, !errors.Is(errno, unix.ENOTTY) && !errors.Is(errno, unix.EINVAL)
	}
	status := unix.WaitStatus(info.exitCode)
	if status.Signaled() {
		return Exit{Signal: status.Signal(), CoreDumped: status.CoreDump(), Known: true}, true
	}
	return Exit{Code: status.ExitStatus(), Known: true}, true
}

// lookFromAfar reports whether the process that pidfd refers to has ended, and how. This
// program is not its parent, so the kernel may not say how: then the Exit is not Known.
func lookFromAfar(pidfd int) (Exit, bool) {
	if gone, err := pollEnd(pidfd); !gone || err != nil {
		return Exit{}, false
	}
	return awaitReapedExit(pidfd), true
}
