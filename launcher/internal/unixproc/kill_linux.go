package unixproc

import (
	"errors"

	"golang.org/x/sys/unix"
)

// Kill sends SIGKILL to the process with the Identity, and to nobody else. It
// returns the error of [Identity.Check] if it is not there.
func Kill(id Identity) error {
	return killBy(id, func(pidfd int) error { return unix.PidfdSendSignal(pidfd, unix.SIGKILL, nil, 0) })
}

// KillGroup is [Kill] for the process and the group that it leads. Before Linux 6.9
// it is Kill: the rest of the group stays.
func KillGroup(id Identity) error {
	return killBy(id, func(pidfd int) error {
		err := signalGroup(pidfd, unix.SIGKILL)
		if errors.Is(err, unix.EINVAL) || errors.Is(err, unix.ESRCH) {
			err = unix.PidfdSendSignal(pidfd, unix.SIGKILL, nil, 0)
		}
		return err
	})
}

// killBy calls kill for the process with the Identity. The pidfd is opened first,
// and then refers to one process for ever, whichever the check finds it to be.
func killBy(id Identity, kill func(pidfd int) error) error {
	fd, err := unix.PidfdOpen(id.PID, 0)
	if errors.Is(err, unix.ESRCH) {
		return ErrGone
	}
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	if err := id.Check(); err != nil {
		return err
	}
	if err := kill(fd); err != nil && !errors.Is(err, unix.ESRCH) {
		return err
	}
	return nil
}
