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

// openUnix binds the socket. It calls listen only when the socket's mode is right, so
// that no other user can connect.
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

// newSocket returns a unix socket that no other program inherits, not even a program
// that starts at this moment.
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

// cleanSocket removes the socket that is at path now when the launch is over, unless a
// process has it open: the pod.
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

// vacate makes sure that path is free. It removes only a socket that no process has
// open any more.
//
// A process may bind the path between the two looks. That is out of scope: in the
// runtime directory the path is the launcher's alone, for the pod's name is locked.
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

// clearSocket removes the socket at path if no process has it open any more. In dir, the
// runtime directory, it follows no link that leads out of dir, for the pod may have made
// one. Elsewhere it removes only a socket of this user. It leaves a socket that it cannot
// check or remove to the pod, which fails and says why. The race is that of vacate.
func clearSocket(dir, path string) error {
	name, err := filepath.Rel(dir, path)
	if dir == "" || err != nil || !filepath.IsLocal(name) {
		fi, err := os.Lstat(path)
		if err == nil && isOurs(fi) && isStale(fi, path) {
			return removed(os.Remove(path))
		}
		return nil
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil
	}
	defer root.Close()
	if fi, err := root.Lstat(name); err == nil && isStale(fi, path) {
		return removed(root.Remove(name))
	}
	return nil
}

// removed returns err, of a removal, unless the file had gone by itself.
func removed(err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

// isOurs reports whether the file belongs to this user.
func isOurs(fi fs.FileInfo) bool {
	st, ok := fi.Sys().(*syscall.Stat_t)
	return ok && int(st.Uid) == os.Geteuid()
}

// isStale reports whether the file at path, which is fi, is a socket that nobody has.
func isStale(fi fs.FileInfo, path string) bool {
	return fi.Mode()&fs.ModeSocket != 0 && errors.Is(probeSocket(path), unix.ECONNREFUSED)
}

// probeSocket returns nil if a process has the socket at path open, and
// ECONNREFUSED if none has. It dials with a datagram socket, which does not connect to
// a stream socket, so the process does not notice. For a stream socket the kernel
// returns EPROTOTYPE if a process has it, and ECONNREFUSED if none has.
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
