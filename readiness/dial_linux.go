package readiness

import (
	"errors"
	"fmt"
	"net"
	"os"

	"golang.org/x/sys/unix"
)

// dialUnix connects to a unix socket and closes the connection again. It returns
// who listens; an error of that is no *net.OpError, one of the dial is.
//
// connect(2) on a unix socket does not wait, if that is non-blocking: a full
// backlog is EAGAIN. So nothing has to be polled, and package net, which sees to
// that and asks for both addresses, takes twice as many system calls for it.
func dialUnix(e Endpoint) (Peer, error) {
	failed := func(call string, err error) error {
		return &net.OpError{Op: "dial", Net: e.Network, Addr: &net.UnixAddr{Name: e.Address, Net: e.Network}, Err: os.NewSyscallError(call, err)}
	}
	kind := unix.SOCK_STREAM
	if e.Network == "unixpacket" {
		kind = unix.SOCK_SEQPACKET
	}
	fd, err := unix.Socket(unix.AF_UNIX, kind|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return Peer{}, failed("socket", err)
	}
	defer unix.Close(fd)
	err = unix.EINTR
	for errors.Is(err, unix.EINTR) {
		err = unix.Connect(fd, &unix.SockaddrUnix{Name: e.Address})
	}
	if err != nil {
		return Peer{}, failed("connect", err)
	}
	peer, err := peerOfFD(fd)
	if err != nil {
		return Peer{}, fmt.Errorf("find out who serves %v: %w", e, err)
	}
	return peer, nil
}
