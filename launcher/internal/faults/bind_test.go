//go:build linux && !386

package faults_test

import (
	"syscall"

	"golang.org/x/sys/unix"
)

// noBind refuses to give sockets an address.
func noBind(errno syscall.Errno) refusal { return refusal{call: unix.SYS_BIND, errno: errno} }
