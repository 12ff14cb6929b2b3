package osproc

import (
	"errors"
	"fmt"
	"os"
	"strconv"

	"golang.org/x/sys/unix"
)

// Proves says whether Prove can prove anything on this system.
const Proves = true

// Prove calls proof with the Identity of the process pid, and makes sure that this process
// has lived all the time: what proof has read in /proc under its number is about it. The
// pidfd is opened first, and then refers to one process for ever. The error is ErrGone if
// there is no such process, or it ends meanwhile; ErrThread; that of proof; or says why Prove
// cannot tell.
func Prove(pid int, proof func(Identity) error) (Identity, error) {
	if pid <= 0 {
		return Identity{}, ErrGone
	}
	pidfd, err := unix.PidfdOpen(pid, 0)
	switch {
	case errors.Is(err, unix.ESRCH):
		return Identity{}, ErrGone
	case isRefused(err) || errors.Is(err, unix.ENOENT): // also of a thread's number
		pidfd = -1
	case err != nil:
		return Identity{}, os.NewSyscallError("pidfd_open", err)
	default:
		defer unix.Close(pidfd)
	}
	leader, err := leaderOf(pid)
	if err != nil {
		return Identity{}, err
	}
	if leader != pid {
		return Identity{}, fmt.Errorf("%w of process %d", ErrThread, leader)
	}
	id, err := Identify(pid)
	if err != nil {
		return Identity{}, err
	}
	if err := id.Check(); err != nil {
		return id, err
	}
	if err := proof(id); err != nil {
		return id, err
	}
	if pidfd >= 0 {
		ended, err := pollEnd(pidfd)
		if err != nil {
			return id, os.NewSyscallError("poll", err)
		}
		if ended {
			return id, ErrGone
		}
	}
	return id, id.Check()
}

// leaderOf returns the process that has a thread of that number. /proc shows threads by
// their numbers, too.
func leaderOf(pid int) (int, error) {
	status, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/status")
	if err != nil {
		return pid, shortage(err) // else Identify says what is wrong
	}
	if leaders := numbersOf(string(status), "Tgid:"); len(leaders) > 0 {
		return leaders[0], nil
	}
	return pid, nil
}

// IsApart reports whether the process pid, which may have ended, has a pid namespace of its
// own: the pids that it knows mean other processes here.
func IsApart(pid int) (bool, error) {
	status, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/status")
	if isGone(err) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("find out in which pid namespace pid %d is: %w", pid, err)
	}
	return len(numbersOf(string(status), "NSpid:")) > 1, nil
}
