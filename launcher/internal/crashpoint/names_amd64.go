//go:build linux

package crashpoint

import "golang.org/x/sys/unix"

// These calls have other names, or do not exist, on other architectures.
func init() {
	names[unix.SYS_EPOLL_WAIT] = "epoll_wait"
	names[unix.SYS_GETRLIMIT] = "getrlimit"
	names[unix.SYS_MMAP] = "mmap"
	names[unix.SYS_NEWFSTATAT] = "newfstatat"
	names[unix.SYS_RENAMEAT] = "renameat"
}
