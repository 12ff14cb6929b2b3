//go:build !linux && !darwin && !freebsd

package readiness

import (
	"errors"
	"net"
)

func peerOf(*net.UnixConn) (Peer, error) { return Peer{}, errors.ErrUnsupported }

const tellsPID = false

func commandName(int) string { return "" }
