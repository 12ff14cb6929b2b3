//go:build linux

package crashpoint

import "golang.org/x/sys/unix"

// These calls have other numbers here than elsewhere, and Go makes these. They have the
// names that they have elsewhere. All that is about sockets is one call, socketcall(2).
func init() {
	for number, name := range map[uint64]string{
		unix.SYS_EPOLL_WAIT:   "epoll_wait",
		unix.SYS_FCNTL64:      "fcntl",
		unix.SYS_FSTAT64:      "fstat",
		unix.SYS_FSTATAT64:    "newfstatat",
		unix.SYS_FTRUNCATE64:  "ftruncate",
		unix.SYS_FUTEX_TIME64: "futex",
		unix.SYS_GETEUID32:    "geteuid",
		unix.SYS_GETUID32:     "getuid",
		unix.SYS_MMAP2:        "mmap",
		unix.SYS_RENAMEAT:     "renameat",
		unix.SYS_SOCKETCALL:   "socketcall",
		unix.SYS_STATFS64:     "statfs",
		unix.SYS_UGETRLIMIT:   "getrlimit",
		unix.SYS__LLSEEK:      "lseek",
	} {
		names[number] = name
	}
	descriptorArgument[unix.SYS_FCNTL64] = descriptorArgument[unix.SYS_FCNTL]
	descriptorArgument[unix.SYS_FSTAT64] = descriptorArgument[unix.SYS_FSTAT]
}
