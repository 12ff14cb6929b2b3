package readiness

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"slices"
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
	// should wrap [ErrForeignPeer]. Nil means [SamePod]. See also [FirstProcess],
	// [SameUser] and [AnyPeer]. If Peer refuses a process of our user that has ended, or an ancestor
	// of the pod, the probe asks about a process of the pod that has the same socket open,
	// on Linux: a daemon may listen before it goes to the background. Nobody is
	// named on other networks, and Peer is not asked; nil then means what [TCP] says of
	// a stranger's port.
	Peer func(p Peer, t Target) error

	// NoConnect has the probe look whether somebody listens, and not connect: for a
	// server that takes a single connection. Peer then decides about a process that
	// has the listening socket open. It is Linux alone that shows it; elsewhere it is
	// an error that wraps [errors.ErrUnsupported].
	NoConnect bool
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
	if err := checkNoConnect("readiness.Socket.NoConnect", s.NoConnect); err != nil {
		return Endpoint{}, err
	}
	learned := t.Endpoint
	err := Schedule{}.repeat(ctx, "an answer on "+t.Endpoint.String(), func(ctx context.Context) (err error) {
		if isTCP(t.Endpoint.Network) {
			learned, err = s.reach(ctx, t)
		} else {
			err = s.dial(ctx, t)
		}
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
	return learned, nil
}

// reach makes one attempt on a network.
func (s Socket) reach(ctx context.Context, t Target) (Endpoint, error) {
	d := dialling{target: t, anybody: s.Peer != nil, noConnect: s.NoConnect, field: "readiness.Socket.Peer", allow: "readiness.AnyPeer"}
	return firstOf(learnedPlaces(t.Endpoint), func(p place) error {
		_, err := d.reach(ctx, p)
		return err
	})
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
	if s.NoConnect {
		return s.look(t)
	}
	peer, err := dialUnix(t.Endpoint)
	if err != nil {
		return explain(err, t.Endpoint)
	}
	if err := s.CheckPeer(peer, t); err != nil && !s.inherits(peer, t) {
		return refusal{fmt.Errorf("%v: %w", t.Endpoint, err)}
	}
	return nil
}

// inherits reports whether the pod serves a socket on which another process of our user has
// called listen. That process has ended, as a daemon does that listens before it goes to the
// background, or is an ancestor of the pod's first process. Its pid may be a younger process's
// by now. A process of the pod is seen to have that socket open, the only one at that path. Peer
// is asked about it, with the user that has called listen: a worker may have changed its own.
func (s Socket) inherits(peer Peer, t Target) bool {
	if peer.PID <= 0 || t.PID <= 0 || peer.UID != os.Geteuid() || !hasEnded(peer.PID) && !descends(t.PID, peer.PID) && !isYounger(peer.PID, t.PID) {
		return false
	}
	inodes := unixListeners(t.Endpoint.Address, t.PID)
	if inode := boundTo(t.Endpoint.Address); inode != 0 {
		inodes = []uint64{inode} // another socket may have been bound to the same name
	}
	holders := holdersOf(inodes, t.PID)
	if len(inodes) != 1 || len(holders) != 1 || !belongs(holders[0], t.PID) {
		return false
	}
	heir := Peer{PID: holders[0], UID: peer.UID, GID: peer.GID}
	return s.CheckPeer(heir, t) == nil
}

// look makes sure, without connecting to it, that a process listens on the unix
// socket, and may.
func (s Socket) look(t Target) error {
	refused := func(errno syscall.Errno) error {
		return &net.OpError{Op: "dial", Net: t.Endpoint.Network, Addr: &net.UnixAddr{Name: t.Endpoint.Address, Net: t.Endpoint.Network}, Err: os.NewSyscallError("look", errno)}
	}
	if _, err := os.Stat(t.Endpoint.Address); errors.Is(err, fs.ErrNotExist) {
		return refused(syscall.ENOENT)
	} else if err != nil {
		return err
	}
	inodes := unixListeners(t.Endpoint.Address, t.PID)
	if len(inodes) == 0 {
		return explain(refused(syscall.ECONNREFUSED), t.Endpoint)
	}
	err := refused(syscall.ECONNREFUSED) // who has it cannot be seen, or has gone again
	for _, holder := range holdersOf(inodes, t.PID) {
		peer, ok := peerOfPID(holder)
		if !ok {
			continue
		}
		if err = s.CheckPeer(peer, t); err == nil {
			return nil
		}
		err = refusal{fmt.Errorf("%v: %w", t.Endpoint, err)}
	}
	return err
}

// mayGetBetter reports whether another attempt makes sense after err.
func mayGetBetter(err error) bool {
	if refused := (refusal{}); errors.Is(err, syscall.ENOTSOCK) || errors.As(err, &refused) {
		return false
	}
	// On a network no process has answered yet. Package net also reports the end of
	// ctx as a timeout, and may notice it a moment before ctx does.
	if timeout := net.Error(nil); errors.As(err, &timeout) && timeout.Timeout() {
		return true
	}
	return isAnyOf(err, []error{syscall.ENOENT, syscall.ECONNREFUSED, syscall.EAGAIN, syscall.EINTR}) || isAnyOf(err, notYet)
}

// isAnyOf reports whether err is one of errs.
func isAnyOf(err error, errs []error) bool {
	return slices.ContainsFunc(errs, func(e error) bool { return errors.Is(err, e) })
}

// explain makes the error of connect(2) for the unix socket at e plain. connect returns
// ECONNREFUSED for a file that is no socket at all, just as for a socket on which no
// process listens yet. It returns EPROTOTYPE for a datagram socket.
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
