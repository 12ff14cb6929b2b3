package launcher

import (
	"errors"
	"unsafe"

	"golang.org/x/sys/unix"
)

// signalGroup sends sig to the process group whose number is the pid of the
// process that pidfd refers to. That works, and hits nobody else, also when
// the process is reaped and its number used again (PIDFD_SIGNAL_PROCESS_GROUP,
// pidfd_send_signal(2), since Linux 6.9; before that it is EINVAL).
func signalGroup(pidfd int, sig unix.Signal) error {
	const processGroup = 1 << 2 // PIDFD_SIGNAL_PROCESS_GROUP
	return unix.PidfdSendSignal(pidfd, sig, nil, processGroup)
}

// reapedExit returns how a process ended that somebody else has reaped, where
// the kernel remembers that (PIDFD_INFO_EXIT of the ioctl PIDFD_GET_INFO, since
// Linux 6.15; include/uapi/linux/pidfd.h), else an Exit that is not Known.
func reapedExit(pidfd int) Exit {
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
		return Exit{}
	}
	status := unix.WaitStatus(info.exitCode)
	if status.Signaled() {
		return Exit{Signal: status.Signal(), CoreDumped: status.CoreDump(), Known: true}
	}
	return Exit{Code: status.ExitStatus(), Known: true}
}
