package readiness

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"strings"
	"syscall"
)

// Socket dials the endpoint that an earlier probe learned ([Target.Endpoint])
// until it answers, and closes the connection again. The zero value is ready
// to use.
//
// It dials at once, then again after about a millisecond, then ever more
// rarely, up to every 50 ms. It tries again while the socket is missing
// (ENOENT), refuses (ECONNREFUSED), or is too busy to take a connection
// (EAGAIN, a full backlog), when the call was interrupted (EINTR), and when a
// network let it time out. Any other error is final, for it will not get
// better: no permission, not a socket ([syscall.ENOTSOCK]), a path that is too long
// ([syscall.ENAMETOOLONG]). A unix socket is dialled at least once, even when
// ctx is done already, because that takes no time.
type Socket struct {
	// Peer decides who may answer on a unix socket; its error is final and
	// should wrap [ErrForeignPeer]. Nil means [SamePod]. See also [SameUser]
	// and [AnyPeer]. Who answers on other networks cannot be known, and is not
	// asked.
	Peer func(p Peer, t Target) error
}

var (
	_ Probe    = Socket{}
	_ Verifier = Socket{}
)

// Wait implements [Probe]. The error is a [*PendingError] once ctx is done.
func (s Socket) Wait(ctx context.Context, t Target) (Endpoint, error) {
	if t.Endpoint == (Endpoint{}) {
		return Endpoint{}, errors.New("readiness.Socket: no endpoint to dial: a probe before it has to learn one")
	}
	if err := checkUnixPath(t.Endpoint); err != nil {
		return Endpoint{}, err
	}
	err := Schedule{}.repeat(ctx, "an answer on "+t.Endpoint.String(), func(ctx context.Context) error {
		err := s.dial(ctx, t)
		// What ends a dial on a network may be ctx itself; one on a unix socket
		// is made without it.
		if err != nil && !mayGetBetter(err) && (ctx.Err() == nil || isUnix(t.Endpoint)) {
			return Final(err)
		}
		return err
	})
	if err != nil {
		return Endpoint{}, err
	}
	return t.Endpoint, nil
}

// Verify implements [Verifier].
func (s Socket) Verify(ctx context.Context, t Target) error {
	if t.Endpoint == (Endpoint{}) {
		return errors.New("readiness.Socket: no endpoint to dial")
	}
	return s.dial(ctx, t)
}

// CheckPeer implements [PeerChecker].
func (s Socket) CheckPeer(p Peer, t Target) error {
	if s.Peer == nil {
		return SamePod(p, t)
	}
	return s.Peer(p, t)
}

// String describes the probe.
func (s Socket) String() string { return "an answer on the socket" }

// dial makes one attempt. On a unix socket that takes no time, so ctx does not
// matter.
func (s Socket) dial(ctx context.Context, t Target) error {
	if !isUnix(t.Endpoint) {
		var d net.Dialer
		conn, err := d.DialContext(ctx, t.Endpoint.Network, t.Endpoint.Address)
		if err != nil {
			return err
		}
		conn.Close()
		return nil
	}
	peer, err := dialUnix(t.Endpoint)
	if err != nil {
		return explain(err, t.Endpoint)
	}
	if err := s.CheckPeer(peer, t); err != nil {
		return refusal{fmt.Errorf("%v: %w", t.Endpoint, err)}
	}
	return nil
}

// A refusal is what Socket.Peer said. It is final, whatever it wraps.
type refusal struct{ error }

func (r refusal) Unwrap() error { return r.error }

// mayGetBetter reports whether another attempt makes sense after err.
func mayGetBetter(err error) bool {
	if refused := (refusal{}); errors.Is(err, syscall.ENOTSOCK) || errors.As(err, &refused) {
		return false
	}
	// On a network nobody has answered yet. It is also how net tells the end of
	// ctx, which it may notice a moment before ctx does.
	if timeout := net.Error(nil); errors.As(err, &timeout) && timeout.Timeout() {
		return true
	}
	for _, errno := range []error{syscall.ENOENT, syscall.ECONNREFUSED, syscall.EAGAIN, syscall.EINTR} {
		if errors.Is(err, errno) {
			return true
		}
	}
	return false
}

// explain makes what connect(2) says of the unix socket at e plain: of a file that
// is no socket at all it says ECONNREFUSED, just as of a socket on which nobody
// listens yet, and of a datagram socket EPROTOTYPE.
func explain(err error, e Endpoint) error {
	switch {
	case errors.Is(err, syscall.EPROTOTYPE):
		return fmt.Errorf("%w: it is a socket of another type (datagram or packet), not a stream", err)
	case errors.Is(err, syscall.ECONNREFUSED):
		if fi, statErr := os.Stat(e.Address); statErr == nil && fi.Mode()&fs.ModeSocket == 0 {
			return &net.OpError{Op: "dial", Net: e.Network, Addr: &net.UnixAddr{Name: e.Address, Net: e.Network},
				Err: os.NewSyscallError("connect", syscall.ENOTSOCK)}
		}
	case errors.Is(err, syscall.EAGAIN):
		return fmt.Errorf("%w (its queue of connections is full)", err)
	}
	return err
}

// checkUnixPath makes sure that e can be dialled, if it is a unix socket.
func checkUnixPath(e Endpoint) error {
	if !isUnix(e) {
		return nil
	}
	return checkSocketPath("dial", e.Address)
}

// checkSocketPath says plainly what the system would call an invalid argument
// of what is to be done with the socket at path.
func checkSocketPath(do, path string) error {
	const most = len(syscall.RawSockaddrUnix{}.Path) - 1 // unix(7)
	switch {
	case len(path) > most:
		return fmt.Errorf("%s %q: the path has %d bytes, the limit for a socket is %d: choose a shorter runtime directory or pod name: %w",
			do, path, len(path), most, syscall.ENAMETOOLONG)
	case strings.IndexByte(path, 0) >= 0:
		return fmt.Errorf("%s %q: the path holds a NUL: %w", do, path, syscall.EINVAL)
	}
	return nil
}

func isUnix(e Endpoint) bool { return e.Network == "unix" || e.Network == "unixpacket" }

// socketWith returns a Socket with the Peer of another probe, which that calls
// field; nil means standard.
func socketWith(peer, standard func(Peer, Target) error, field string) Socket {
	if peer == nil {
		peer = standard
	}
	return Socket{Peer: func(p Peer, t Target) error {
		err := peer(p, t)
		if foreign := (*foreignError)(nil); errors.As(err, &foreign) {
			f := *foreign
			f.field = field
			return &f
		}
		return err
	}}
}
