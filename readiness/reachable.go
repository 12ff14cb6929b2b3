package readiness

import (
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
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

// absolute returns where path leads for a pod whose working directory is dir. On Windows a
// path that begins with a slash is one of the drive, or the share, of that directory.
func absolute(path, dir string) string {
	switch {
	case filepath.IsAbs(path):
		return path
	case path != "" && os.IsPathSeparator(path[0]):
		return filepath.VolumeName(dir) + path
	}
	// Not filepath.Join: it would take the element before ".." away, and that
	// may be a symbolic link.
	return dir + string(filepath.Separator) + path
}

// checkDrive refuses a path like C:sock on Windows: which directory of the drive it is taken
// from only the pod knows.
func checkDrive(path string) error {
	if volume := filepath.VolumeName(path); volume != "" && !filepath.IsAbs(path) {
		return fmt.Errorf("%q is relative to a directory of the drive %s that is not known here; give the whole path", path, volume)
	}
	return nil
}

func isUnix(e Endpoint) bool { return e.Network == "unix" || e.Network == "unixpacket" }

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
