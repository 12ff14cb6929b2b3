package readiness

import (
	"fmt"
	"net"
	"os"
)

// A PeerChecker is a [Verifier] that can say of somebody who has answered already
// whether he may. It is optional.
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

// CheckConn asks whether whoever is at the other end of conn, a connection to
// t.Endpoint, may answer for the pod of t, which was ready once, by p. Only about
// another user is the last [Verifier] in p asked, if it is a [PeerChecker]: a
// process of ours that has made the socket listen may be gone by now, or in
// another session, and that is no reason to turn away from a pod that was ready.
// Without a PeerChecker, and where it cannot be known who answers, everybody may.
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
