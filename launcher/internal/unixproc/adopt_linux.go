package unixproc

import (
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// Adopt returns a process that somebody else has started, and that leads a group:
// the one with the Identity, or the error of [Identity.Check]. It is somebody else's
// to reap. Adopt needs Linux.
func Adopt(id Identity) (*Process, error) {
	fd, err := unix.PidfdOpen(id.PID, 0)
	if errors.Is(err, unix.ESRCH) {
		return nil, ErrGone
	}
	if err != nil {
		return nil, os.NewSyscallError("pidfd_open", err)
	}
	pidfd := pollable(fd)
	if pidfd == nil {
		// There is no other way to see the end of a process that is not our child.
		return nil, fmt.Errorf("watch pid %d: its pidfd cannot be polled: there is no memory, or fs.epoll.max_user_watches is reached", id.PID)
	}
	p := &Process{
		pid:     id.PID,
		pidfd:   pidfd,
		adopted: true,
		pinned:  true,
		waiting: make(chan struct{}, 1),
		ended:   make(chan struct{}),
	}
	// Only now: from here on the descriptor refers to whichever process is
	// found to be the right one.
	if err := id.Check(); err != nil {
		p.closePidfd()
		return nil, err
	}
	return p, nil
}
