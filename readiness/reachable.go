package readiness

import (
	"errors"
	"fmt"
	"net"
	"path/filepath"
	"strconv"
	"strings"
)

// reachable returns where a pod can be dialled that says that it listens on e.
func reachable(e Endpoint, dir string) (Endpoint, error) {
	switch {
	case isUnix(e) && strings.HasPrefix(e.Address, "@"):
		return e, fmt.Errorf("%v is an abstract socket, which anybody may take; a path is needed", e)
	case isUnix(e):
		e.Address = absolute(e.Address, dir)
		return e, checkUnixPath(e)
	case isTCP(e.Network):
		address, err := loopback(e.Address)
		if err != nil {
			return e, fmt.Errorf("%v is no endpoint: %w", e, err)
		}
		e.Address = address
		return e, nil
	}
	return e, fmt.Errorf("%v is no endpoint: the network must be tcp, tcp4, tcp6, unix or unixpacket", e)
}

func isTCP(network string) bool { return network == "tcp" || network == "tcp4" || network == "tcp6" }

// loopback returns the address of a listener as somebody on the same machine
// dials it: a host that stands for all becomes the loopback.
func loopback(address string) (string, error) {
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return "", err
	}
	if number, err := strconv.ParseUint(port, 10, 16); err != nil {
		return "", fmt.Errorf("the port %q is not a number from 1 to 65535", port)
	} else if number == 0 {
		return "", errors.New("the port 0 stands for one that the system chooses, and nobody can know which")
	}
	switch host {
	case "", "*", "0.0.0.0":
		host = "127.0.0.1"
	case "::":
		host = "::1"
	}
	return net.JoinHostPort(host, port), nil
}

func absolute(path, dir string) string {
	if filepath.IsAbs(path) {
		return path
	}
	// Not filepath.Join: it would take the element before ".." away, and that
	// may be a symbolic link.
	return dir + string(filepath.Separator) + path
}
