//go:build unix && !linux

package fakepod

import (
	"os"
	"syscall"
)

// raise sends this process a signal.
func raise(sig syscall.Signal) error { return syscall.Kill(os.Getpid(), sig) }
