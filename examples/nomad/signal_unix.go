//go:build unix

package nomad

import (
	"syscall"

	"golang.org/x/sys/unix"
)

// signalName is what the engine calls sig; empty if it has no name.
func signalName(sig syscall.Signal) string { return unix.SignalName(sig) }
