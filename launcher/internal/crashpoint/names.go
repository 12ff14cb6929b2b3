//go:build linux

package crashpoint

import (
	"strconv"

	"golang.org/x/sys/unix"
)

// name returns the name of a system call. It returns the number of a call that the
// programs run here hardly ever make.
func name(number uint64) string {
	if name, ok := names[number]; ok {
		return name
	}
	return "system call " + strconv.FormatUint(number, 10)
}

var names = map[uint64]string{
	unix.SYS_BIND:              "bind",
	unix.SYS_CHDIR:             "chdir",
	unix.SYS_CLOCK_GETTIME:     "clock_gettime", // where the vDSO cannot tell the time
	unix.SYS_CAPGET:            "capget",
	unix.SYS_CLONE3:            "clone3",
	unix.SYS_CLONE:             "clone",
	unix.SYS_CLOSE:             "close",
	unix.SYS_CLOSE_RANGE:       "close_range",
	unix.SYS_CONNECT:           "connect",
	unix.SYS_DUP3:              "dup3",
	unix.SYS_EPOLL_CREATE1:     "epoll_create1",
	unix.SYS_EPOLL_CTL:         "epoll_ctl",
	unix.SYS_EPOLL_PWAIT:       "epoll_pwait",
	unix.SYS_EVENTFD2:          "eventfd2",
	unix.SYS_EXECVE:            "execve",
	unix.SYS_EXIT:              "exit",
	unix.SYS_EXIT_GROUP:        "exit_group",
	unix.SYS_FACCESSAT2:        "faccessat2",
	unix.SYS_FACCESSAT:         "faccessat",
	unix.SYS_FCHMOD:            "fchmod",
	unix.SYS_FCHMODAT:          "fchmodat",
	unix.SYS_FCNTL:             "fcntl",
	unix.SYS_FLOCK:             "flock",
	unix.SYS_FSTAT:             "fstat",
	unix.SYS_FTRUNCATE:         "ftruncate",
	unix.SYS_FUTEX:             "futex",
	unix.SYS_GETCWD:            "getcwd",
	unix.SYS_GETDENTS64:        "getdents64",
	unix.SYS_GETEGID:           "getegid",
	unix.SYS_GETEUID:           "geteuid",
	unix.SYS_GETPEERNAME:       "getpeername",
	unix.SYS_GETPGID:           "getpgid",
	unix.SYS_GETPID:            "getpid",
	unix.SYS_GETPPID:           "getppid",
	unix.SYS_GETRANDOM:         "getrandom",
	unix.SYS_GETSOCKNAME:       "getsockname",
	unix.SYS_GETSOCKOPT:        "getsockopt",
	unix.SYS_GETTID:            "gettid",
	unix.SYS_GETUID:            "getuid",
	unix.SYS_INOTIFY_ADD_WATCH: "inotify_add_watch",
	unix.SYS_INOTIFY_INIT1:     "inotify_init1",
	unix.SYS_INOTIFY_RM_WATCH:  "inotify_rm_watch",
	unix.SYS_IOCTL:             "ioctl",
	unix.SYS_KILL:              "kill",
	unix.SYS_LINKAT:            "linkat",
	unix.SYS_LSEEK:             "lseek",
	unix.SYS_MADVISE:           "madvise",
	unix.SYS_MEMFD_CREATE:      "memfd_create",
	unix.SYS_MKDIRAT:           "mkdirat",
	unix.SYS_MPROTECT:          "mprotect",
	unix.SYS_MUNMAP:            "munmap",
	unix.SYS_NANOSLEEP:         "nanosleep",
	unix.SYS_OPENAT2:           "openat2",
	unix.SYS_OPENAT:            "openat",
	unix.SYS_PIDFD_OPEN:        "pidfd_open",
	unix.SYS_PIDFD_SEND_SIGNAL: "pidfd_send_signal",
	unix.SYS_PIPE2:             "pipe2",
	unix.SYS_PPOLL:             "ppoll",
	unix.SYS_PRCTL:             "prctl",
	unix.SYS_PREAD64:           "pread64",
	unix.SYS_PRLIMIT64:         "prlimit64",
	unix.SYS_PWRITE64:          "pwrite64",
	unix.SYS_READ:              "read",
	unix.SYS_READLINKAT:        "readlinkat",
	unix.SYS_RENAMEAT2:         "renameat2",
	unix.SYS_RESTART_SYSCALL:   "restart_syscall",
	unix.SYS_RSEQ:              "rseq",
	unix.SYS_RT_SIGACTION:      "rt_sigaction",
	unix.SYS_RT_SIGPROCMASK:    "rt_sigprocmask",
	unix.SYS_RT_SIGRETURN:      "rt_sigreturn",
	unix.SYS_SCHED_GETAFFINITY: "sched_getaffinity",
	unix.SYS_SCHED_YIELD:       "sched_yield",
	unix.SYS_SETITIMER:         "setitimer",
	unix.SYS_SETPGID:           "setpgid",
	unix.SYS_GETSID:            "getsid",
	unix.SYS_SETSID:            "setsid",
	unix.SYS_SETSOCKOPT:        "setsockopt",
	unix.SYS_SET_ROBUST_LIST:   "set_robust_list",
	unix.SYS_SIGALTSTACK:       "sigaltstack",
	unix.SYS_SOCKET:            "socket",
	unix.SYS_STATFS:            "statfs",
	unix.SYS_STATX:             "statx",
	unix.SYS_TGKILL:            "tgkill",
	unix.SYS_TIMER_CREATE:      "timer_create",
	unix.SYS_TIMER_DELETE:      "timer_delete",
	unix.SYS_TIMER_SETTIME:     "timer_settime",
	unix.SYS_UNLINKAT:          "unlinkat",
	unix.SYS_WAIT4:             "wait4",
	unix.SYS_WAITID:            "waitid",
	unix.SYS_WRITE:             "write",
}
