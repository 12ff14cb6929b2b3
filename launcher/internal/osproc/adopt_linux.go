package osproc

import (
	"context"
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// Adopt returns a process that leads a group: the one with the Identity, or the error
// of [Identity.Check]. Mostly somebody else has started it, and reaps it. A child of
// this program, which was released, or started before the program executed itself, is
// the Process's to reap. A child that another Process has is that one's to reap. Adopt
// needs Linux.
func Adopt(id Identity) (*Process, error) {
	fd, err := unix.PidfdOpen(id.PID, 0)
	if errors.Is(err, unix.ESRCH) {
		return nil, ErrGone
	}
	if isRefused(err) {
		return adoptByNumber(id)
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
	child := false
	if err := p.withPidfd(func(fd int) { child = isChild(fd, p.pid) }); err == nil && child {
		p.kin = ours.take(p.pid, p, id.Start)
	}
	return p, nil
}

// adoptByNumber is Adopt where the kernel gives no pidfd. A goroutine looks for the end of
// a process that is not our child, until Reap or Release is called.
func adoptByNumber(id Identity) (*Process, error) {
	if err := id.Check(); err != nil {
		return nil, err
	}
	p := &Process{pid: id.PID, pinned: true, id: id, waiting: make(chan struct{}, 1), ended: make(chan struct{})}
	if _, err := peek(unix.P_PID, p.pid); err == nil {
		p.kin = ours.take(p.pid, p, id.Start)
		go p.look(unix.P_PID, p.pid, 0) // ends with the child
		return p, nil
	}
	ctx, stop := context.WithCancel(context.Background())
	p.stop = stop
	go until(ctx, func() bool { return p.look(unix.P_PID, p.pid, unix.WNOHANG) })
	return p, nil
}
