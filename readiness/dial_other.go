//go:build !linux && !windows

package readiness

import (
	"fmt"
	"net"
)

// dialUnix connects to a unix socket and closes the connection again. It returns
// who listens; an error of that is no *net.OpError, one of the dial is.
func dialUnix(e Endpoint) (Peer, error) {
	// connect(2) on a unix socket does not wait here: net makes it non-blocking,
	// and a full backlog is EAGAIN.
	conn, err := net.DialUnix(e.Network, nil, &net.UnixAddr{Name: e.Address, Net: e.Network})
	if err != nil {
		return Peer{}, err
	}
	defer conn.Close()
	peer, err := peerOf(conn)
	if err != nil {
		return Peer{}, fmt.Errorf("find out who serves %v: %w", e, err)
	}
	return peer, nil
}
