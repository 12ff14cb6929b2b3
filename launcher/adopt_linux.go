package launcher

import (
	"errors"
	"fmt"
	"os"
	"time"

	"golang.org/x/sys/unix"

	"github.com/podlaunch/podlaunch/launcher/internal/proc"
)

// adoptProcess returns a process that somebody else has started, and that leads
// a group: the one with the Identity, or proc.ErrGone or proc.ErrStranger. It is
// somebody else's to reap.
func adoptProcess(id proc.Identity) (Process, error) {
	fd, err := unix.PidfdOpen(id.PID, 0)
	if errors.Is(err, unix.ESRCH) {
		return nil, proc.ErrGone
	}
	if err != nil {
		return nil, os.NewSyscallError("pidfd_open", err)
	}
	pidfd := pollable(fd)
	if pidfd == nil {
		// There is no other way to see the end of a process that is not our child.
		return nil, fmt.Errorf("watch pid %d: its pidfd cannot be polled: there is no memory, or fs.epoll.max_user_watches is reached", id.PID)
	}
	p := &process{
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

// lookAdopted reports whether the process that pidfd refers to has ended, and
// how, as far as the kernel tells somebody who is not its parent.
func lookAdopted(pidfd int) (Exit, bool) {
	poll := []unix.PollFd{{Fd: int32(pidfd), Events: unix.POLLIN}}
	n, err := unix.Poll(poll, 0)
	for errors.Is(err, unix.EINTR) { // the poller tells of the end only once
		n, err = unix.Poll(poll, 0)
	}
	if n == 0 || err != nil {
		return Exit{}, false
	}
	// How it ended can be asked for once its parent has reaped it, which takes
	// a moment; a parent that never does leaves it unknown.
	for delay := time.Millisecond; ; delay *= 2 {
		if exit := reapedExit(pidfd); exit.Known || delay > 64*time.Millisecond {
			return exit, true
		}
		time.Sleep(delay)
	}
}
