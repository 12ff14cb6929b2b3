//go:build linux

package endurance_test

import (
	"slices"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/podlaunch/podlaunch/launcher/internal/crashpoint"
)

// Errors that many calls give alike: those that look up a path, or make
// something there, and those about a descriptor that somebody has closed.
var (
	lookup = []syscall.Errno{unix.EACCES, unix.EIO, unix.ELOOP, unix.ENAMETOOLONG, unix.ENOENT, unix.ENOMEM, unix.ENOTDIR}
	change = append([]syscall.Errno{unix.EBUSY, unix.EDQUOT, unix.EEXIST, unix.EINVAL, unix.EISDIR, unix.EMLINK, unix.ENOSPC, unix.ENOTEMPTY, unix.EPERM, unix.EROFS, unix.ESTALE, unix.EXDEV}, lookup...)
	closed = []syscall.Errno{unix.EBADF}
	table  = []syscall.Errno{unix.EMFILE, unix.ENFILE, unix.ENOMEM} // of descriptors
	absent = []syscall.Errno{unix.ENOSYS, unix.EPERM}               // an old kernel, a filter of system calls (seccomp(2))
)

// errnos are the errors that a call may give by its manual page, or, where that
// names none, what the kernel's filesystems give. A key is a call, or a call and
// what it is about ([crashpoint.Call]), which counts for more.
//
// None has EFAULT: the memory that Go hands to the kernel is there.
var errnos = map[string][]syscall.Errno{
	"bind":              slices.Concat(lookup, closed, []syscall.Errno{unix.EADDRINUSE, unix.EADDRNOTAVAIL, unix.EINVAL, unix.ENOTSOCK, unix.EROFS}),
	"chdir":             lookup,
	"clone process":     {unix.EAGAIN, unix.EINVAL, unix.ENOMEM, unix.ENOSPC, unix.EPERM, unix.EUSERS},
	"clone3 process":    {unix.EAGAIN, unix.EINVAL, unix.ENOMEM, unix.ENOSPC, unix.ENOSYS, unix.EPERM, unix.EUSERS},
	"clone3":            append([]syscall.Errno{unix.EINVAL}, absent...), // without arguments: vfork tries the call out
	"capget":            {unix.EINVAL, unix.EPERM, unix.ESRCH},           // package syscall asks where faccessat2 is refused
	"close":             {unix.EBADF, unix.EDQUOT, unix.EINTR, unix.EIO, unix.ENOSPC},
	"close_range":       append([]syscall.Errno{unix.EINVAL, unix.EMFILE, unix.ENOMEM}, absent...),
	"connect":           {unix.EACCES, unix.EADDRINUSE, unix.EADDRNOTAVAIL, unix.EAFNOSUPPORT, unix.EAGAIN, unix.EALREADY, unix.EBADF, unix.ECONNREFUSED, unix.EINPROGRESS, unix.EINTR, unix.EISCONN, unix.ELOOP, unix.ENETUNREACH, unix.ENOENT, unix.ENOTDIR, unix.ENOTSOCK, unix.EPERM, unix.EPROTOTYPE, unix.ETIMEDOUT},
	"dup3":              {unix.EBADF, unix.EBUSY, unix.EINTR, unix.EINVAL, unix.EMFILE},
	"epoll_ctl":         {unix.EBADF, unix.EEXIST, unix.EINVAL, unix.ELOOP, unix.ENOENT, unix.ENOMEM, unix.ENOSPC, unix.EPERM},
	"epoll_pwait":       {unix.EBADF, unix.EINTR, unix.EINVAL},
	"execve":            slices.Concat(lookup, table, []syscall.Errno{unix.E2BIG, unix.EAGAIN, unix.EINVAL, unix.EISDIR, unix.ELIBBAD, unix.ENOEXEC, unix.EPERM, unix.ETXTBSY}),
	"faccessat2":        slices.Concat(lookup, closed, absent, []syscall.Errno{unix.EINVAL, unix.EROFS, unix.ETXTBSY}),
	"fchmod":            {unix.EACCES, unix.EBADF, unix.EIO, unix.ENOMEM, unix.ENOTSUP, unix.EPERM, unix.EROFS},
	"fcntl":             {unix.EACCES, unix.EAGAIN, unix.EBADF, unix.EBUSY, unix.EINTR, unix.EINVAL, unix.EMFILE, unix.EPERM},
	"flock":             {unix.EBADF, unix.EINTR, unix.EINVAL, unix.ENOLCK, unix.ENOMEM, unix.EOPNOTSUPP, unix.EWOULDBLOCK},
	"fstat":             {unix.EACCES, unix.EBADF, unix.EIO, unix.ENOMEM, unix.EOVERFLOW, unix.ESTALE},
	"getcwd":            {unix.EACCES, unix.EINVAL, unix.ENAMETOOLONG, unix.ENOENT, unix.ENOMEM, unix.ERANGE},
	"getdents64":        {unix.EBADF, unix.EINVAL, unix.EIO, unix.ENOENT, unix.ENOTDIR},
	"getpeername":       {unix.EBADF, unix.EINVAL, unix.ENOBUFS, unix.ENOTCONN, unix.ENOTSOCK},
	"getrlimit":         {unix.EINVAL, unix.EPERM},
	"getsockname":       {unix.EBADF, unix.EINVAL, unix.ENOBUFS, unix.ENOTSOCK},
	"getsockopt":        {unix.EBADF, unix.EINVAL, unix.ENOPROTOOPT, unix.ENOTSOCK},
	"inotify_add_watch": {unix.EACCES, unix.EBADF, unix.EEXIST, unix.EINVAL, unix.ENAMETOOLONG, unix.ENOENT, unix.ENOMEM, unix.ENOSPC, unix.ENOTDIR},
	"inotify_init1":     append([]syscall.Errno{unix.EINVAL, unix.ENOSYS}, table...),
	"ioctl":             {unix.EBADF, unix.EINVAL, unix.ENOTTY},
	"kill":              {unix.EINVAL, unix.EPERM, unix.ESRCH},
	"lseek":             {unix.EBADF, unix.EINVAL, unix.ENXIO, unix.EOVERFLOW, unix.ESPIPE},
	"memfd_create":      slices.Concat(table, absent, []syscall.Errno{unix.EACCES, unix.EINVAL}),
	"mkdirat":           slices.Concat(change, closed),
	"newfstatat":        slices.Concat(lookup, closed, []syscall.Errno{unix.EINVAL, unix.EOVERFLOW, unix.ESTALE}),
	"openat":            slices.Concat(change, closed, table, []syscall.Errno{unix.EAGAIN, unix.EFBIG, unix.EINTR, unix.ENODEV, unix.ENXIO, unix.EOPNOTSUPP, unix.EOVERFLOW, unix.ETXTBSY}),
	"openat2":           slices.Concat(lookup, closed, table, absent, []syscall.Errno{unix.E2BIG, unix.EAGAIN, unix.EINVAL, unix.EXDEV}),
	"pidfd_open":        slices.Concat(table, absent, []syscall.Errno{unix.EINVAL, unix.ENODEV, unix.ESRCH}),
	"pidfd_send_signal": append([]syscall.Errno{unix.EBADF, unix.EINVAL, unix.ESRCH}, absent...),
	"pipe2":             {unix.EINVAL, unix.EMFILE, unix.ENFILE},
	"ppoll":             {unix.EINTR, unix.EINVAL, unix.ENOMEM},
	"prctl":             {unix.EINVAL, unix.EPERM},
	"pread64":           {unix.EAGAIN, unix.EBADF, unix.EINTR, unix.EINVAL, unix.EIO, unix.EISDIR, unix.ENXIO, unix.EOVERFLOW, unix.ESPIPE, unix.ESTALE},
	"prlimit64":         {unix.EINVAL, unix.EPERM, unix.ESRCH},
	"pwrite64":          {unix.EBADF, unix.EDQUOT, unix.EFBIG, unix.EINTR, unix.EINVAL, unix.EIO, unix.ENOSPC, unix.EPERM},
	"read":              {unix.EAGAIN, unix.EBADF, unix.EINTR, unix.EINVAL, unix.EIO, unix.EISDIR, unix.ESRCH},
	"read pipe":         {unix.EAGAIN, unix.EBADF, unix.EINTR, unix.EIO},
	"read socket":       {unix.EAGAIN, unix.EBADF, unix.ECONNRESET, unix.EINTR, unix.ENOTCONN},
	"readlinkat":        slices.Concat(lookup, closed, []syscall.Errno{unix.EINVAL}),
	"renameat":          slices.Concat(change, closed),
	"renameat2":         slices.Concat(change, closed),
	"setsid":            {unix.EPERM},
	"setsockopt":        {unix.EBADF, unix.EINVAL, unix.ENOPROTOOPT, unix.ENOTSOCK},
	"socket":            append([]syscall.Errno{unix.EACCES, unix.EAFNOSUPPORT, unix.EINVAL, unix.ENOBUFS, unix.EPROTONOSUPPORT}, table...),
	"statfs":            slices.Concat(lookup, []syscall.Errno{unix.EINTR, unix.ENOSYS, unix.EOVERFLOW}),
	"statx":             slices.Concat(lookup, closed, absent, []syscall.Errno{unix.EINVAL}),
	"unlinkat":          slices.Concat(change, closed),
	"wait4":             {unix.ECHILD, unix.EINTR, unix.EINVAL},
	"waitid":            {unix.EAGAIN, unix.ECHILD, unix.EINTR, unix.EINVAL, unix.ESRCH},
	"write":             {unix.EAGAIN, unix.EBADF, unix.EDQUOT, unix.EFBIG, unix.EINTR, unix.EINVAL, unix.EIO, unix.ENOSPC, unix.EPERM, unix.EPIPE},
}

// spared are the calls that are never made to fail, and why. A call that is in
// neither list fails the test.
var spared = map[string]string{
	"clone thread":      "threads are the Go runtime's, which ends the program if it cannot have one: newosproc; libc's, with cgo, does the same",
	"clone3 thread":     "as clone thread: libc makes threads by it",
	"epoll_create1":     "the Go runtime ends a program that cannot poll: netpollinit",
	"epoll_ctl eventfd": "as epoll_create1",
	"eventfd2":          "as epoll_create1",
	"write eventfd":     "as epoll_create1: netpollBreak",
	"read eventfd":      "its result is not looked at: netpoll",
	"futex":             "the Go runtime crashes on purpose where it cannot wake a thread: futexwakeup; a wait that fails is made again",
	"madvise":           "memory is the Go runtime's, and libc's, which end a program that has none",
	"mmap":              "as madvise",
	"mprotect":          "as madvise",
	"munmap":            "as madvise",
	"rt_sigaction":      "the Go runtime crashes where it cannot have its signals; the forked child does not look at the result; only EINVAL and EFAULT are there, for constant arguments",
	"rt_sigprocmask":    "as rt_sigaction",
	"rt_sigreturn":      "it never returns",
	"sigaltstack":       "as rt_sigaction",
	"tgkill":            "the Go runtime preempts by it, and does not look at the result",
	"timer_create":      "the profiler's, in the Go runtime",
	"timer_delete":      "as timer_create",
	"timer_settime":     "as timer_create",
	"getrandom":         "crypto/rand ends a program that has no randomness (go.dev/issue/66821)",
	"rseq":              "libc's, in a new thread, which does without",
	"set_robust_list":   "as rseq",
	"inotify_rm_watch":  "its errors, EBADF and EINVAL, say that there is no watch; one that the kernel was not asked to end would stay, and only then",
	"getsid":            "it cannot fail for the caller itself: its one error is that there is no such process",
	"nanosleep":         "the Go runtime's short sleeps, whose result is not looked at",
	"restart_syscall":   "the kernel's own, for a call that a stop has interrupted",
	"sched_yield":       "it always succeeds",
	"getpgid":           "of this program it always succeeds",
	"getpid":            "it always succeeds",
	"getppid":           "it always succeeds",
	"gettid":            "it always succeeds",
	"geteuid":           "it always succeeds",
	"getegid":           "it always succeeds",
	"getuid":            "it always succeeds",
	"exit":              "it does not return",
	"exit_group":        "it does not return",
}

// never are the errors that a call has by its manual page, and that a launch is
// never given, and why. Some would be lies, for the program acts on them as it
// should if they were true; the fault catalogue has cases in which they are.
var never = map[string]string{
	"connect EALREADY":        "a Unix socket that does not block is connected at once or not at all (unix(7))",
	"connect EINPROGRESS":     "as connect EALREADY",
	"connect EINTR":           "as connect EALREADY",
	"connect EISCONN":         "the socket was just made; package net takes it for a success",
	"epoll_pwait EBADF":       "nobody but the Go runtime has the descriptor; it ends the program",
	"epoll_pwait EINVAL":      "as epoll_pwait EBADF",
	"kill ESRCH":              "as wait4 ECHILD",
	"mkdirat EEXIST":          "it says that something is there, which is believed",
	"mkdirat ENOTEMPTY":       "package os takes it for EEXIST, and a directory is not made into one that is not empty",
	"newfstatat ENOENT":       "it says that a file was deleted, which is believed; D30 makes it true",
	"pidfd_send_signal EBADF": "nobody but the launcher has the descriptor",
	"pidfd_send_signal ESRCH": "as wait4 ECHILD",
	"ppoll EINVAL":            "there is one descriptor, and no limit on those is 0",
	"ppoll ENOMEM":            "for one descriptor the kernel needs no memory (fs/select.c)",
	"pread64 EAGAIN":          "as read EAGAIN",
	"read EAGAIN":             "files of a disk or of /proc do not give it; where they can be polled Go would wait for an event",
	"read pipe EAGAIN":        "the pipe blocks",
	"read pipe EBADF":         "nobody but package syscall has the pipe on which a child tells that it could not exec",
	"read pipe EIO":           "a pipe has no such error (pipe(7)); package syscall would wait for the end of the child",
	"unlinkat ENOENT":         "it says that somebody has deleted the file, which is believed",
	"wait4 ECHILD":            "it says that the process is gone, which is believed; D17 and D18 make it true",
	"wait4 EINVAL":            "the options are good",
	"waitid EAGAIN":           "with WNOHANG, as the launcher asks, it is no error that the process has not ended",
	"waitid ECHILD":           "as wait4 ECHILD",
	"waitid ESRCH":            "as wait4 ECHILD",
}

// about returns the keys of a call in the tables above, the more specific key first: it
// takes precedence.
func about(c crashpoint.Call) []string {
	if c.On == "" {
		return []string{c.Name}
	}
	return []string{c.Name + " " + c.On, c.Name}
}

// errnosOf returns the errors that c may give a launch. Known is false for a call
// that is in none of the tables.
func errnosOf(c crashpoint.Call) (list []syscall.Errno, known bool) {
	for _, key := range about(c) {
		if _, ok := spared[key]; ok {
			return nil, true
		}
		list, ok := errnos[key]
		if !ok {
			continue
		}
		return slices.DeleteFunc(slices.Clone(list), func(e syscall.Errno) bool {
			_, ok := never[key+" "+unix.ErrnoName(e)]
			return ok
		}), true
	}
	return nil, false
}
