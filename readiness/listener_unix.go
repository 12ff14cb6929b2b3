//go:build unix

package readiness

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// Prepare implements [Preparer]: it listens, and hands the socket over.
func (l Listener) Prepare(ctx context.Context, s *Setup) (Probe, error) {
	if err := l.check(); err != nil {
		return nil, err
	}
	f, endpoint, err := l.open(ctx, s)
	if err != nil {
		return nil, err
	}
	if err := setBlocking(f); err != nil {
		f.Close()
		return nil, fmt.Errorf("readiness.Listener: %w", err)
	}
	if err := addListener(s, f, l.Name); err != nil {
		return nil, err
	}
	return listening{l, endpoint}, nil
}

// open returns the socket to hand over.
func (l Listener) open(ctx context.Context, s *Setup) (*os.File, Endpoint, error) {
	switch {
	case l.Listener != nil:
		return duplicate(l.Listener, "Listener")
	case l.isUnix():
		return l.openUnix(s)
	}
	listener, err := new(net.ListenConfig).Listen(ctx, l.Network, l.Address)
	if err != nil {
		return nil, Endpoint{}, fmt.Errorf("readiness.Listener.Address: %w", err)
	}
	defer listener.Close()
	return duplicate(listener, "Address")
}

// duplicate returns another descriptor of a socket. field is where it comes
// from.
func duplicate(l net.Listener, field string) (*os.File, Endpoint, error) {
	filer, ok := l.(interface{ File() (*os.File, error) })
	if !ok {
		return nil, Endpoint{}, fmt.Errorf("readiness.Listener.%s: a %T cannot be handed over, for it has no File method; a *net.UnixListener or *net.TCPListener has", field, l)
	}
	f, err := filer.File()
	if err != nil {
		return nil, Endpoint{}, fmt.Errorf("readiness.Listener.%s: %w", field, err)
	}
	e := Endpoint{Network: l.Addr().Network(), Address: l.Addr().String()}
	if isUnix(e) && e.Address != "" && e.Address[0] != '@' {
		if e.Address, err = filepath.Abs(e.Address); err != nil {
			f.Close()
			return nil, Endpoint{}, fmt.Errorf("readiness.Listener.%s: %w", field, err)
		}
	}
	return f, e, nil
}

// openUnix binds the socket. It does not listen before its mode is right, so
// nobody can connect who may not.
func (l Listener) openUnix(s *Setup) (*os.File, Endpoint, error) {
	path := l.Address
	if path == "" {
		path = "sock"
	}
	if !filepath.IsAbs(path) {
		path = filepath.Join(s.RuntimeDir, path)
	}
	err := checkSocketPath("bind", path)
	if err == nil {
		err = vacate(path)
	}
	if err != nil {
		return nil, Endpoint{}, fmt.Errorf("readiness.Listener.Address: %w", err)
	}
	f, err := socket(path)
	if err == nil {
		cleanSocket(s, path)
		if err = os.Chmod(path, 0o600); err == nil {
			err = os.NewSyscallError("listen", unix.Listen(int(f.Fd()), unix.SOMAXCONN))
		}
		if err != nil {
			f.Close()
		}
	}
	if err != nil {
		return nil, Endpoint{}, fmt.Errorf("readiness.Listener.Address: listen on %q: %w", path, err)
	}
	return f, Endpoint{Network: "unix", Address: path}, nil
}

// socket returns a stream socket that is bound to path.
func socket(path string) (*os.File, error) {
	fd, err := newSocket(unix.SOCK_STREAM)
	if err != nil {
		return nil, err
	}
	if err := unix.Bind(fd, &unix.SockaddrUnix{Name: path}); err != nil {
		unix.Close(fd)
		return nil, os.NewSyscallError("bind", err)
	}
	return os.NewFile(uintptr(fd), path), nil
}

// newSocket returns a unix socket that no other program inherits, not even one
// that is started at this moment.
func newSocket(kind int) (fd int, err error) {
	syscall.ForkLock.RLock()
	defer syscall.ForkLock.RUnlock()
	fd, err = unix.Socket(unix.AF_UNIX, kind, 0)
	if err != nil {
		return -1, os.NewSyscallError("socket", err)
	}
	unix.CloseOnExec(fd)
	return fd, nil
}

// cleanSocket has the socket that is at path now removed, when the launch is
// over, unless somebody has it: the pod.
func cleanSocket(s *Setup, path string) {
	own, err := os.Lstat(path)
	if err != nil {
		return
	}
	s.Cleanup(func() {
		if is, err := os.Lstat(path); err == nil && os.SameFile(own, is) && errors.Is(probeSocket(path), unix.ECONNREFUSED) {
			os.Remove(path)
		}
	})
}

// vacate makes sure that path is free. What it removes is a socket that nobody
// has any more.
//
// Between the two looks somebody may bind the path. That is out of scope: in the
// runtime directory it is the launcher's alone, for the pod's name is locked.
func vacate(path string) error {
	fi, err := os.Lstat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return err
	case fi.Mode()&fs.ModeSocket == 0:
		return fmt.Errorf("%q is taken by something that is no socket (%v): remove it, or choose another path", path, fi.Mode())
	}
	switch err := probeSocket(path); {
	case errors.Is(err, unix.ECONNREFUSED):
		return os.Remove(path)
	case err != nil:
		return fmt.Errorf("the socket %q cannot be asked whether it is in use: %w", path, err)
	}
	return fmt.Errorf("the socket %q is taken: %s; end that, or choose another path: %w", path, whoServes(path), unix.EADDRINUSE)
}

// probeSocket returns nil if a process has the socket at path open, and
// ECONNREFUSED if none has. It does not connect to a stream socket, and so
// nobody notices: a datagram socket is told that this is another type, but only
// if there is somebody to connect to.
func probeSocket(path string) error {
	fd, err := newSocket(unix.SOCK_DGRAM)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	err = unix.Connect(fd, &unix.SockaddrUnix{Name: path})
	if err == nil || errors.Is(err, unix.EPROTOTYPE) {
		return nil
	}
	return os.NewSyscallError("connect", err)
}

// whoServes names, for an error, who has the socket at path.
func whoServes(path string) string {
	conn, err := net.DialTimeout("unix", path, time.Second)
	if err != nil {
		return "a process has bound it, though nobody answers"
	}
	defer conn.Close()
	peer, err := peerOf(conn.(*net.UnixConn))
	if err != nil {
		return "somebody answers"
	}
	return fmt.Sprintf("pid %d%s of user %d answers", peer.PID, commandName(peer.PID), peer.UID)
}
