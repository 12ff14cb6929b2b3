//go:build linux

package crashpoint

import (
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

// descriptorsPath tells how many descriptors a program has open. It is asked without a
// filesystem that could hang.
const descriptorsPath = "/proc/self/fd"

// pathAt returns the beginning of the string at an address of a process, as long as
// descriptorsPath and its end.
func pathAt(pid int, address uint64) string {
	mem, err := os.Open("/proc/" + strconv.Itoa(pid) + "/mem")
	if err != nil {
		return ""
	}
	defer mem.Close()
	var text [len(descriptorsPath) + 1]byte
	if _, err := mem.ReadAt(text[:], int64(address)); err != nil {
		return ""
	}
	path, _, _ := strings.Cut(string(text[:]), "\x00")
	return path
}

// on says what a call is about: for one that has a descriptor, what that leads
// to; for clone, whether it makes a thread or a process; for a look at descriptorsPath,
// that it is one.
func on(pid int, info *syscallInfo) string {
	if info.number == unix.SYS_CLONE {
		if info.args[0]&unix.CLONE_THREAD != 0 {
			return "thread"
		}
		return "process"
	}
	if info.number == unix.SYS_NEWFSTATAT && pathAt(pid, info.args[1]) == descriptorsPath {
		return "descriptors"
	}
	argument, ok := descriptorArgument[info.number]
	if !ok {
		return ""
	}
	link := "/proc/" + strconv.Itoa(pid) + "/fd/" + strconv.Itoa(int(int32(info.args[argument])))
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
