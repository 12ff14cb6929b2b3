package runtimedir

import (
	"fmt"
	"syscall"
)

// MaxSocketPath is the longest path of a unix socket on this system, in bytes:
// 107 on Linux, 103 on macOS and the BSDs (sun_path of sockaddr_un, less its
// final NUL; unix(7)).
const MaxSocketPath = len(syscall.RawSockaddrUnix{}.Path) - 1

// CheckSocketPath reports whether a unix socket can be bound to path. It
// returns nil or a [*SocketPathError].
func CheckSocketPath(path string) error {
	if len(path) <= MaxSocketPath {
		return nil
	}
	return &SocketPathError{Path: path, Max: MaxSocketPath}
}

// A SocketPathError is a path that is too long for a unix socket. errors.Is
// finds [ErrSocketPathTooLong] and [syscall.ENAMETOOLONG] in it.
type SocketPathError struct {
	Path string
	Max  int // the longest path that the system takes, in bytes
}

// Error says how long the path is, what the limit is, and what to do.
func (e *SocketPathError) Error() string {
	return fmt.Sprintf("%v: %s has %d bytes, the limit is %d: choose a shorter runtime directory or pod name",
		ErrSocketPathTooLong, quote(e.Path), len(e.Path), e.Max)
}

// Unwrap returns the errors that this one is a case of.
func (e *SocketPathError) Unwrap() []error {
	return []error{ErrSocketPathTooLong, syscall.ENAMETOOLONG}
}
