package readiness

import (
	"errors"
	"fmt"
)

// dialUnix connects to nothing: Windows does not tell which user serves a unix socket, and
// Wine 8 has none at all.
func dialUnix(e Endpoint) (Peer, error) {
	return Peer{}, fmt.Errorf("dial %v: Windows does not tell who serves a unix socket; let the pod listen on a TCP port of the loopback, and announce tcp:127.0.0.1:PORT: %w",
		e, errors.ErrUnsupported)
}
