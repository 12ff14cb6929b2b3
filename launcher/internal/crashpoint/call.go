//go:build linux

package crashpoint

import (
	"encoding/binary"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// A Call is a system call that the program is about to make, or the child that
// it has forked and that has not come to its exec.
type Call struct {
	Name  string
	On    string // what it is about, where that tells which errors it may give: see on
	Child bool
}

func (c Call) String() string {
	s := c.Name
	if c.On != "" {
		s += " " + c.On
	}
	if c.Child {
		s += " in the child"
	}
	return s
}

// descriptorArgument is which argument of a call is the descriptor that it is
// about.
var descriptorArgument = map[uint64]int{
	unix.SYS_CLOSE:             0,
	unix.SYS_CONNECT:           0,
	unix.SYS_EPOLL_CTL:         2,
	unix.SYS_FCHMOD:            0,
	unix.SYS_FCNTL:             0,
	unix.SYS_FLOCK:             0,
	unix.SYS_FSTAT:             0,
	unix.SYS_GETDENTS64:        0,
	unix.SYS_GETPEERNAME:       0,
	unix.SYS_GETSOCKNAME:       0,
	unix.SYS_GETSOCKOPT:        0,
	unix.SYS_IOCTL:             0,
	unix.SYS_PIDFD_SEND_SIGNAL: 0,
	unix.SYS_PREAD64:           0,
	unix.SYS_PWRITE64:          0,
	unix.SYS_READ:              0,
	unix.SYS_SETSOCKOPT:        0,
	unix.SYS_WRITE:             0,
}

// isOfProc reports whether a call asks /proc about a process itself, and so waits for no
// filesystem that could hang. Such a call reads a link, or counts the descriptors of its
// caller. The descriptor that a relative path starts at shows where the path leads.
func isOfProc(pid int, info *syscallInfo) bool {
	switch info.number { // pathAt opens a file: not for every call
	case statAt:
		return pathAt(pid, info.args[1]) == "/proc/self/fd"
	case unix.SYS_READLINKAT:
		path := pathAt(pid, info.args[1])
		if !strings.HasPrefix(path, "/") {
			path, _ = os.Readlink(descriptorLink(pid, info.args[0]))
		}
		return strings.HasPrefix(path, "/proc/")
	}
	return false
}

// pathAt returns the beginning of the string at an address of a process, or "" where that
// cannot be read.
func pathAt(pid int, address uint64) string {
	mem, err := os.Open("/proc/" + strconv.Itoa(pid) + "/mem")
	if err != nil {
		return ""
	}
	defer mem.Close()
	var text [16]byte
	if _, err := mem.ReadAt(text[:], int64(address)); err != nil {
		return ""
	}
	path, _, _ := strings.Cut(string(text[:]), "\x00")
	return path
}

func descriptorLink(pid int, fd uint64) string {
	return "/proc/" + strconv.Itoa(pid) + "/fd/" + strconv.Itoa(int(int32(fd)))
}

// made returns what a clone with flags makes.
func made(flags uint64) string {
	if flags&unix.CLONE_THREAD != 0 {
		return "thread"
	}
	return "process"
}

// on returns what a call is about. For a call with a descriptor, that is the kind of file
// behind the descriptor; for clone, "thread" or "process"; for a question to /proc (see
// isOfProc), "proc".
func on(pid int, info *syscallInfo) string {
	switch info.number {
	case unix.SYS_CLONE:
		return made(info.args[0])
	case unix.SYS_CLONE3: // its arguments are in memory, and the flags come first
		var flags [8]byte
		if n, err := unix.PtracePeekData(pid, uintptr(info.args[0]), flags[:]); err != nil || n < len(flags) {
			return "" // there are none
		}
		return made(binary.NativeEndian.Uint64(flags[:]))
	}
	if isOfProc(pid, info) {
		return "proc"
	}
	argument, ok := descriptorArgument[info.number]
	if !ok {
		return ""
	}
	link := descriptorLink(pid, info.args[argument])
	target, err := os.Readlink(link)
	if err != nil {
		return "nothing"
	}
	if strings.HasPrefix(target, "/") {
		if fi, err := os.Stat(link); err == nil && fi.IsDir() {
			return "directory"
		} else if err == nil && !fi.Mode().IsRegular() {
			return "device"
		}
		return "file"
	}
	// pipe:[4711], socket:[4711], pidfd:[4711], anon_inode:[eventfd], anon_inode:inotify
	kind, rest, _ := strings.Cut(target, ":")
	if kind == "anon_inode" {
		return strings.Trim(rest, "[]")
	}
	return kind
}

// A syscallInfo is a ptrace_syscall_info (ptrace(2), PTRACE_GET_SYSCALL_INFO).
type syscallInfo struct {
	op     uint8
	_      [3]uint8
	_      uint32    // architecture
	_      [2]uint64 // instruction and stack pointer
	number uint64    // at the entry
	args   [6]uint64
	_      uint64
}
