//go:build linux

package faults_test

import (
	"syscall"

	"golang.org/x/sys/unix"
)

// noBind refuses to give sockets an address. Go has one system call for all that is
// about sockets here, whose first argument says what it does (socketcall(2)).
func noBind(errno syscall.Errno) refusal {
	const bind = 2 // SYS_BIND of linux/net.h
	return refusal{call: unix.SYS_SOCKETCALL, errno: errno, mask: bind, exact: true}
}
