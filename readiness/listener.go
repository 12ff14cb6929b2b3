package readiness

import (
	"context"
	"fmt"
	"net"
	"os"
	"strings"
)

// Listener binds a socket before the pod starts and hands it over as
// sd_listen_fds(3) wants it: descriptor 3, LISTEN_FDS, LISTEN_FDNAMES and
// LISTEN_PID. The pod ignores SIGPIPE, as under systemd (IgnoreSIGPIPE in
// systemd.exec(5)), so a client that leaves early does not end a pod that relies on
// that. For a pod without a Listener env(1) does the same, with --ignore-signal=PIPE.
// Clients may connect before the pod accepts: the kernel queues them.
// The zero value is a unix stream socket at sock in the runtime directory, of
// mode 0600.
//
// Its own Wait returns the socket's address at once, for that is known. Another probe
// has to find out when the pod serves it:
//
//	readiness.Sequence{readiness.Listener{}, readiness.NotifySocket{}}
//
// A [Socket] does not find that out, for the kernel answers it with or without a pod.
// It also needs Socket.Peer to be [SameUser], for the launcher called listen.
//
// Several Listeners in a launch hand over descriptors 3, 4 and so on. They come
// before a [NotifyFD] that does not say which descriptor it wants.
//
// A pod's socket ends with it. For a restart that refuses nobody, open a
// net.Listener, keep it as long as the service is to be reachable, and set
// Listener to it at each launch: clients that come between two pods wait for the
// second.
//
// On windows Prepare returns [errors.ErrUnsupported].
type Listener struct {
	// Network is unix, tcp, tcp4 or tcp6. Empty means unix.
	Network string

	// Address is where to listen: a path, or host:port, and then port 0 means
	// any. Empty means sock for a unix socket. A relative path is taken from the
	// runtime directory. Required for tcp.
	//
	// Prepare removes a socket at the path on which no process listens. A socket that
	// is in use, or a file that is no socket, is an error.
	Address string

	// Listener is the caller's own, a *net.UnixListener or *net.TCPListener or
	// another with their File method. Network and Address must be empty then. The
	// caller owns it, and it stays open. Only the pod should accept on it: Prepare
	// sets it to blocking mode, which the two share. Nil means that Prepare binds a
	// socket for each launch.
	Listener net.Listener

	// Name is the socket's in LISTEN_FDNAMES: at most 255 ASCII characters
	// that can be seen, no colon. Empty means "sock".
	Name string

	// Peer decides which process may have called listen on the unix socket: a
	// launcher. It is asked when a program attaches to the pod ([Verifier]). Nil
	// means [SameUser].
	Peer func(p Peer, t Target) error
}

var (
	_ Probe    = Listener{}
	_ Preparer = Listener{}
	_ Verifier = Listener{}
)

// Wait implements [Probe], for a Listener that was not prepared, and so listens
// nowhere: it returns an error.
func (l Listener) Wait(context.Context, Target) (Endpoint, error) {
	return Endpoint{}, unprepared("Listener")
}

// Verify implements [Verifier].
func (l Listener) Verify(ctx context.Context, t Target) error {
	return l.socket().Verify(ctx, t)
}

// CheckPeer implements [PeerChecker].
func (l Listener) CheckPeer(p Peer, t Target) error { return l.socket().CheckPeer(p, t) }

func (l Listener) socket() Socket { return socketWith(l.Peer, SameUser, "readiness.Listener.Peer") }

// String describes the probe.
func (l Listener) String() string {
	switch {
	case l.Listener != nil:
		return "the listener on " + l.Listener.Addr().String()
	case l.Address == "":
		return "the listener"
	}
	return "the listener on " + l.Address
}

// check refuses what makes no sense.
func (l Listener) check() error {
	switch l.Network {
	case "", "unix", "tcp", "tcp4", "tcp6":
	default:
		return fmt.Errorf("readiness.Listener.Network: %q is not unix, tcp, tcp4 or tcp6", l.Network)
	}
	switch {
	case l.Listener != nil && l.Network != "":
		return fmt.Errorf("readiness.Listener.Network: it is %q, and must be empty with a Listener", l.Network)
	case l.Listener != nil && l.Address != "":
		return fmt.Errorf("readiness.Listener.Address: it is %q, and must be empty with a Listener", l.Address)
	case l.Listener == nil && !l.isUnix() && l.Address == "":
		return fmt.Errorf("readiness.Listener.Address: it is empty, and must be host:port for %s; 127.0.0.1:0 is any port of this machine alone", l.Network)
	case l.isUnix() && strings.HasPrefix(l.Address, "@"):
		return fmt.Errorf("readiness.Listener.Address: %q is an abstract socket, which any user may connect to; a path is needed", l.Address)
	}
	if bad := func(r rune) bool { return r <= ' ' || r >= 0x7f || r == ':' }; len(l.Name) > 255 || strings.ContainsFunc(l.Name, bad) {
		return fmt.Errorf("readiness.Listener.Name: %q is not a name of at most 255 visible ASCII characters without a colon", l.Name)
	}
	return nil
}

func (l Listener) isUnix() bool { return l.Network == "" || l.Network == "unix" }

// The variables of sd_listen_fds(3).
const (
	listenFDs     = "LISTEN_FDS"
	listenFDNames = "LISTEN_FDNAMES"
	listenPID     = "LISTEN_PID"
)

// A listening is the Listener of one launch.
type listening struct {
	l        Listener
	endpoint Endpoint
}

var _ Verifier = listening{}

// Wait implements [Probe].
func (l listening) Wait(context.Context, Target) (Endpoint, error) { return l.endpoint, nil }

// Verify implements [Verifier].
func (l listening) Verify(ctx context.Context, t Target) error { return l.l.Verify(ctx, t) }

// CheckPeer implements [PeerChecker].
func (l listening) CheckPeer(p Peer, t Target) error { return l.l.CheckPeer(p, t) }

// String describes the probe.
func (l listening) String() string { return "the listener on " + l.endpoint.String() }

// addListener hands one more socket to the pod, and tells it so.
func addListener(s *Setup, f *os.File, name string) error {
	if name == "" {
		name = "sock"
	}
	fds, names := variable(s.Env, listenFDs), variable(s.Env, listenFDNames)
	count := 0
	if fds != nil {
		fmt.Sscanf(*fds, listenFDs+"=%d", &count)
	}
	if err := s.AddFileAt(3+count, f); err != nil {
		return fmt.Errorf("readiness.Listener: %w; it has to stand before the probes that take a descriptor", err)
	}
	if fds == nil || names == nil {
		s.Env = append(s.Env, listenFDs+"=1", listenFDNames+"="+name)
		s.PIDEnv = append(s.PIDEnv, listenPID)
		return nil
	}
	*fds = fmt.Sprintf("%s=%d", listenFDs, count+1)
	*names += ":" + name
	return nil
}
