package readiness

import (
	"fmt"
	"net"
	"os"
)

// A PeerChecker is a [Verifier] that decides whether a process that has answered already
// may answer. It is optional.
type PeerChecker interface {
	// CheckPeer returns nil if p may answer for the pod of t, and else an error
	// wrapping [ErrForeignPeer].
	CheckPeer(p Peer, t Target) error
}

var (
	_ PeerChecker = Socket{}
	_ PeerChecker = Unix{}
	_ PeerChecker = Listener{}
	_ PeerChecker = listening{}
)

// CheckConn returns nil if the peer of conn, a connection to t.Endpoint, may answer
// for the pod of t, which p once found ready. A peer with our uid may always serve: the
// process of ours that called listen may be gone by now, or in another session, and
// that is no reason to refuse a pod that was ready. For another uid the last
// [Verifier] in p decides, if it is a [PeerChecker]. Without a PeerChecker, and if conn
// is not that of a unix socket, any process may answer.
func CheckConn(p Probe, conn net.Conn, t Target) error {
	var last Verifier
	for leaf := range Leaves(p) {
		if v, ok := leaf.(Verifier); ok {
			last = v
		}
	}
	checker, ok := last.(PeerChecker)
	unixConn, isUnix := conn.(*net.UnixConn)
	if !ok || !isUnix {
		return nil
	}
	peer, err := peerOf(unixConn)
	switch {
	case err != nil:
		return fmt.Errorf("find out who serves %v: %w", t.Endpoint, err)
	case peer.UID == os.Geteuid():
		return nil
	}
	if err := checker.CheckPeer(peer, t); err != nil {
		return fmt.Errorf("%v: %w", t.Endpoint, err)
	}
	return nil
}
