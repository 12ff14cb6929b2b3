package osproc

import (
	"errors"
	"fmt"
	"syscall"

	"golang.org/x/sys/unix"
)

// Kill is [Signal] with SIGKILL.
func Kill(id Identity) error { return Signal(id, unix.SIGKILL) }

// Signal sends sig to the process with the Identity, and to nobody else. It
// returns the error of [Identity.Check] if it is not there.
func Signal(id Identity, sig syscall.Signal) error {
	return killBy(id, func(t target) error { return t.signal(sig) })
}

// KillGroup is [Kill] for the process and the group that it leads.
func KillGroup(id Identity) error {
	return killBy(id, func(t target) error {
		err := error(unix.ENOSYS)
		if t.pidfd >= 0 {
			err = signalGroup(t.pidfd, unix.SIGKILL)
		}
		if err == nil {
			return nil
		}
		var left error
		if !errors.Is(err, unix.ESRCH) { // the kernel is too old for it, or a filter refuses it
			left = killMembers(id, t)
		}
		if err := t.signal(unix.SIGKILL); err != nil {
			return err
		}
		return left
	})
}

// killMembers sends SIGKILL to the members of the group that the process with the
// Identity leads, one after the other. The leader is stopped meanwhile, so that it
// neither ends nor replaces them, and is the caller's to kill. The members that a
// member has forked are found by the next look.
func killMembers(leader Identity, t target) error {
	if err := t.signal(unix.SIGSTOP); err != nil {
		return err
	}
	killed := make(map[Identity]bool)
	for looks := 0; looks < 100; looks++ {
		members, err := GroupMembers(leader.PID)
		if err != nil {
			return err
		}
		before := len(killed)
		for _, pid := range members {
			member, err := Identify(pid)
			if err != nil || member == leader || killed[member] {
				continue // it has just gone, or will
			}
			killed[member] = true
			switch err := killMember(member, leader); {
			case err == nil, errors.Is(err, ErrGone), errors.Is(err, ErrStranger):
			case errors.Is(err, unix.EPERM): // kill(2) passes over it as well
			default:
				return err
			}
		}
		if len(killed) == before {
			return nil
		}
	}
	return fmt.Errorf("the group of pid %d goes on forking", leader.PID)
}

// killMember sends SIGKILL to a member of the group of leader. The leader has its pid
// before and after the member's group is read, so the group is the leader's.
func killMember(member, leader Identity) error {
	return killBy(member, func(t target) error {
		st, err := ReadStat(member.PID)
		if err != nil || st.Group != leader.PID {
			return nil // it is gone, or has left the group
		}
		if start, _, err := lifeOf(leader.PID); err != nil || start != leader.Start {
			return nil // the leader was reaped: the group may be another's
		}
		return t.signal(unix.SIGKILL)
	})
}

// A target is a process that is about to be signalled.
type target struct {
	Identity
	pidfd int // -1 if the kernel has none for it
}

// signal sends sig to the process. Where the kernel has no pidfds, or the filter of a
// container refuses the call with an error of its choice, the signal goes to the number,
// right after a look whether that is still the process's. If the process ends in between,
// and all other numbers are used up in between, the signal hits another.
func (t target) signal(sig syscall.Signal) error {
	if t.pidfd >= 0 {
		if err := unix.PidfdSendSignal(t.pidfd, sig, nil, 0); !isRefused(err) {
			return err
		}
	}
	if err := t.Check(); err != nil {
		return err
	}
	return unix.Kill(t.PID, sig)
}

// killBy calls kill for the process with the Identity. The pidfd is opened first,
// and then refers to one process for ever, whichever the check finds it to be.
func killBy(id Identity, kill func(target) error) error {
	switch {
	case id.PID <= 0: // it cannot be seen from here
		return ErrGone
	case id.PID == 1:
		return fmt.Errorf("%w: no pod has pid 1", ErrStranger)
	}
	fd, err := unix.PidfdOpen(id.PID, 0)
	switch {
	case errors.Is(err, unix.ESRCH):
		return ErrGone
	case isRefused(err):
		fd = -1
	case err != nil:
		return err
	default:
		defer unix.Close(fd)
	}
	if err := id.Check(); err != nil {
		return err
	}
	if err := kill(target{id, fd}); err != nil && !errors.Is(err, unix.ESRCH) && !errors.Is(err, ErrGone) {
		return err
	}
	return nil
}
