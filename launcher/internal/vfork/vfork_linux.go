//go:build linux && (amd64 || arm64)

package vfork

import (
	"errors"
	"fmt"
	"math"
	"os"
	"runtime"
	"sync/atomic"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/podlaunch/podlaunch/launcher/internal/nofile"
)

// vfork makes a call of clone(2) or clone3(2) with the stack of the caller, which goes on in
// the child, and in the parent once the child has executed a program or has ended. errno is 0
// in both.
func vfork(call, a1, a2, a3 uintptr) (pid, errno uintptr)

// What package runtime does around a fork. It keeps the names for programs outside of
// the standard library (golang.org/issue/67401).

//go:linkname runtimeBeforeFork syscall.runtime_BeforeFork
func runtimeBeforeFork()

//go:linkname runtimeAfterFork syscall.runtime_AfterFork
func runtimeAfterFork()

//go:linkname runtimeAfterForkInChild syscall.runtime_AfterForkInChild
func runtimeAfterForkInChild()

// A child holds what the parent says to the child, and what the child answers: they share
// their memory, and the parent waits. The answers are numbers, because the child must not
// touch a pointer.
type child struct {
	path      *byte
	argv, env []*byte
	dir       *byte // nil: the parent's
	setsid    bool
	files     []int
	most      uint64 // the parent's limit on descriptors
	loan
	limit    *unix.Rlimit // on descriptors; nil: the parent's
	handlers bool         // it has to restore what is to be done at signals: the kernel does not
	mask     uint64       // of signals; only if not handlers
	args     cloneArgs    // only if not handlers
	probe    bool         // it has to find out whether there is clone3(2)

	clone3 syscall.Errno // what it has found out; EINVAL: there is
	pidfd  int32         // set by the kernel
	ran    bool          // it has shared the memory
	did    deed          // that it has come to
	errno  syscall.Errno // of that; 0: the child has executed a program, or has died
}

// cloneArgs are the arguments of clone3(2), those of Linux 5.3.
type cloneArgs struct {
	flags, pidfd, childTID, parentTID, exitSignal, stack, stackSize, tls uint64
}

// A deed is something that a child does. It says so before: it may die of it.
type deed uint8

const (
	nothing deed = iota // yet
	leaveTable
	makeSession
	changeDirectory
	moveFiles
	closeOthers
	setLimit
	tryClone3
	execute
)

// refused says that the kernel, or a filter, has refused something that every child
// needs. It will do so again.
var refused atomic.Bool

// clearing says whether the kernel can forget the handlers of signals for a child: clone3(2)
// with CLONE_CLEAR_SIGHAND, of Linux 5.5. Filters of containers refuse clone3, and a filter may
// end who calls it. So the first child tries it out, and not this program.
var clearing atomic.Int32

const (
	clearingUnknown = iota
	clearingWorks
	clearingRefused
)

// errAgain says that the kernel refuses a way that is not taken again, or only once or twice.
var errAgain = errors.New("once more")

func start(p *Program) (pid, pidfd int, err error) {
	for err = errAgain; err == errAgain; {
		pid, pidfd, err = try(p)
	}
	return pid, pidfd, err
}

// try is start, and may fail with errAgain.
func try(p *Program) (pid, pidfd int, err error) {
	if refused.Load() {
		return 0, -1, errors.ErrUnsupported
	}
	c, err := newChild(p)
	if err != nil {
		return 0, -1, err
	}
	back := lending.lend(c)
	n, errno := fork(c)
	pid, pidfd = int(n), int(c.pidfd)
	failed := c.leave != 0 && !isShort(errno) && (errno != 0 || !c.ran || c.did == leaveTable)
	if errno == 0 && (failed || !c.ran) {
		unix.PidfdSendSignal(pidfd, unix.SIGKILL, nil, 0) // an emulator may have let it go on
		reap(pid, pidfd)
	}
	back(failed)
	if failed {
		return 0, -1, errAgain
	}
	if c.probe && c.did >= tryClone3 {
		clearing.Store(clearingRefused)
		if c.clone3 == syscall.EINVAL { // it has no arguments
			clearing.Store(clearingWorks)
		}
	}
	switch {
	case isShort(errno):
		return 0, -1, errno
	case errno != 0: // no CLONE_PIDFD
		return 0, -1, unsupported("clone", errno)
	case !c.ran: // an emulator of system calls that forks instead
		return 0, -1, unsupported("share the memory with a child", syscall.ENOSYS)
	case c.did == execute && c.errno == 0:
		return pid, pidfd, nil
	}
	reap(pid, pidfd)
	switch {
	case c.did == tryClone3: // a filter has ended it
		return 0, -1, errAgain
	case c.did == closeOthers && c.errno == 0: // a filter has ended it, which it will do again
		return 0, -1, unsupported("close_range", syscall.ENOSYS)
	case c.did == closeOthers && !isShort(c.errno): // before Linux 5.9
		return 0, -1, unsupported("close_range", c.errno)
	case c.errno == 0:
		return 0, -1, fmt.Errorf("%w: the child has died before its exec", errors.ErrUnsupported)
	case calls[c.did] != "" && c.isRefused(): // and so it is to package syscall
		return 0, -1, os.NewSyscallError(calls[c.did], c.errno)
	case c.did == changeDirectory || c.did == execute:
		return 0, -1, c.errno
	}
	// Package syscall may get along, or has the same error.
	return 0, -1, fmt.Errorf("%w: %w", errors.ErrUnsupported, c.errno)
}

// isRefused reports whether the kernel, or a filter of system calls, refuses what c has
// failed in. Apart from execve(2) none of it has these errors of its own.
func (c *child) isRefused() bool { return c.errno == syscall.EPERM || c.errno == syscall.ENOSYS }

// calls are those that package syscall makes in the same way. If one is refused, the
// error names it: the error of an exec would mislead.
var calls = map[deed]string{makeSession: "setsid", changeDirectory: "chdir", moveFiles: "fcntl or dup3"}

// isShort reports whether a call fails with errno because something is short now, and
// need not be a moment later: processes, memory, or a descriptor for the pidfd.
func isShort(errno syscall.Errno) bool {
	switch errno {
	case syscall.EAGAIN, syscall.ENOMEM, syscall.EMFILE, syscall.ENFILE:
		return true
	}
	return false
}

// unsupported returns an error that says so, for what was refused, and will be again.
func unsupported(what string, errno syscall.Errno) error {
	refused.Store(true)
	return fmt.Errorf("%s: %w: %w", what, errno, errors.ErrUnsupported)
}

// reap waits for a child that has ended, or is about to, and closes its pidfd. Somebody
// else in this program may have reaped it.
func reap(pid, pidfd int) {
	for {
		_, err := unix.Wait4(pid, nil, 0, nil)
		if err != unix.EINTR {
			break
		}
	}
	unix.Close(pidfd)
}

// newChild returns what the parent says to the child that becomes p.
func newChild(p *Program) (c *child, err error) {
	c = &child{setsid: p.Setsid, files: append([]int(nil), p.Files...), pidfd: -1}
	if c.path, err = syscall.BytePtrFromString(p.Path); err != nil {
		return nil, err
	}
	if c.argv, err = syscall.SlicePtrFromStrings(p.Argv); err != nil {
		return nil, err
	}
	if c.env, err = syscall.SlicePtrFromStrings(p.Env); err != nil {
		return nil, err
	}
	if p.Dir != "" {
		if c.dir, err = syscall.BytePtrFromString(p.Dir); err != nil {
			return nil, err
		}
	}
	var now unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &now); err != nil {
		return nil, unsupported("getrlimit", syscall.ENOSYS)
	}
	c.most = now.Cur
	soft, known := nofile.OfChild(now.Cur, now.Max)
	switch {
	case !known:
		return nil, unsupported("the limit on descriptors of the start", syscall.ENOSYS)
	case soft != now.Cur:
		c.limit = &unix.Rlimit{Cur: soft, Max: now.Max}
	}
	return c, nil
}

// fork forks c and returns its pid, after the exec, and the error of clone(2).
//
// The Go runtime has a handler for 55 signals, which must not run in the child: it shares the
// memory. The kernel forgets them for the child (CLONE_CLEAR_SIGHAND), or the child has to, one
// by one. What is ignored stays ignored in both ways. The mask is that of this thread.
func fork(c *child) (pid uintptr, errno syscall.Errno) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	defer runtime.KeepAlive(c)
	now := clearing.Load()
	c.probe, c.handlers = now == clearingUnknown, now != clearingWorks
	if !c.handlers {
		// It cannot fail: the arguments are good (rt_sigprocmask(2)).
		syscall.RawSyscall6(unix.SYS_RT_SIGPROCMASK, unix.SIG_BLOCK, 0, uintptr(unsafe.Pointer(&c.mask)), unsafe.Sizeof(c.mask), 0, 0)
		c.args = cloneArgs{
			flags:      uint64(c.flags()) | unix.CLONE_CLEAR_SIGHAND,
			pidfd:      uint64(uintptr(unsafe.Pointer(&c.pidfd))),
			exitSignal: uint64(unix.SIGCHLD),
		}
		if pid, errno = forkNow(c); errno == 0 || isShort(errno) || c.leave != 0 {
			return pid, errno
		}
		clearing.Store(clearingRefused) // before Linux 5.5
		c.handlers = true
	}
	return forkNow(c)
}

// flags are those of clone(2) for c.
func (c *child) flags() uintptr {
	flags := uintptr(unix.CLONE_VM | unix.CLONE_VFORK | unix.CLONE_PIDFD)
	if c.leave != 0 {
		flags |= unix.CLONE_FILES
	}
	return flags
}

// forkNow is fork, by the one call or the other.
//
// The child must not touch a frame of the parent's stack that is used later. So the
// parent goes on here, and the child in forkChild's frame, which is dead by then.
func forkNow(c *child) (pid uintptr, errno syscall.Errno) {
	pid, errno = forkChild(c)
	runtimeAfterFork()
	return pid, errno
}

// forkChild forks, and returns in the parent only.
//
// From runtimeBeforeFork on nothing may be allocated, the stack may not grow, and no
// function may be called that could do so. The detector of races does not know of the
// child.
//
//go:noinline
//go:norace
//go:nocheckptr
func forkChild(c *child) (pid uintptr, errno syscall.Errno) {
	var (
		e     uintptr
		flags = c.flags() | uintptr(unix.SIGCHLD)
	)
	runtimeBeforeFork()
	if c.handlers {
		pid, e = vfork(unix.SYS_CLONE, flags, 0, uintptr(unsafe.Pointer(&c.pidfd)))
	} else {
		pid, e = vfork(unix.SYS_CLONE3, uintptr(unsafe.Pointer(&c.args)), unsafe.Sizeof(c.args), 0)
	}
	if e != 0 || pid != 0 {
		return pid, syscall.Errno(e)
	}
	c.ran = true
	if c.leave != 0 {
		c.did = leaveTable
		if errno = c.take(c.files); errno != 0 {
			goto failed
		}
	}
	if c.setsid {
		c.did = makeSession
		if _, _, errno = syscall.RawSyscall(unix.SYS_SETSID, 0, 0, 0); errno != 0 {
			goto failed
		}
	}
	if c.handlers {
		runtimeAfterForkInChild()
	} else {
		syscall.RawSyscall6(unix.SYS_RT_SIGPROCMASK, unix.SIG_SETMASK, uintptr(unsafe.Pointer(&c.mask)), 0, unsafe.Sizeof(c.mask), 0, 0)
	}
	if c.dir != nil {
		c.did = changeDirectory
		if _, _, errno = syscall.RawSyscall(unix.SYS_CHDIR, uintptr(unsafe.Pointer(c.dir)), 0, 0); errno != 0 {
			goto failed
		}
	}
	c.did = moveFiles
	if errno = move(c.files); errno != 0 {
		goto failed
	}
	c.did = closeOthers
	if errno = closeAllBut(c.files); errno != 0 {
		goto failed
	}
	if c.limit != nil {
		c.did = setLimit
		if _, _, errno = syscall.RawSyscall6(unix.SYS_PRLIMIT64, 0, unix.RLIMIT_NOFILE, uintptr(unsafe.Pointer(c.limit)), 0, 0, 0); errno != 0 {
			goto failed
		}
	}
	if c.probe {
		c.did = tryClone3
		_, _, c.clone3 = syscall.RawSyscall(unix.SYS_CLONE3, 0, 0, 0)
	}
	c.did = execute
	_, _, errno = syscall.RawSyscall(unix.SYS_EXECVE, uintptr(unsafe.Pointer(c.path)), uintptr(unsafe.Pointer(&c.argv[0])), uintptr(unsafe.Pointer(&c.env[0])))

failed:
	c.errno = errno
	for {
		syscall.RawSyscall(unix.SYS_EXIT, 253, 0, 0)
	}
}

// move gives each descriptor in files its place there as its number. The child calls it, as
// closeAllBut, so what is said of forkChild holds for both.
//
//go:nosplit
//go:norace
//go:nocheckptr
func move(files []int) syscall.Errno {
	// A descriptor in the place of another moves out of the way first.
	for place := 0; place < len(files); place++ {
		fd := files[place]
		if fd < 0 || fd >= len(files) || fd == place || files[fd] < 0 {
			continue
		}
		moved, _, errno := syscall.RawSyscall(unix.SYS_FCNTL, uintptr(fd), unix.F_DUPFD_CLOEXEC, uintptr(len(files)))
		if errno != 0 {
			return errno
		}
		files[place] = int(moved)
	}
	for place := 0; place < len(files); place++ {
		var errno syscall.Errno
		switch {
		case files[place] == place:
			_, _, errno = syscall.RawSyscall(unix.SYS_FCNTL, uintptr(place), unix.F_SETFD, 0)
		case files[place] >= 0:
			_, _, errno = syscall.RawSyscall(unix.SYS_DUP3, uintptr(files[place]), uintptr(place), 0)
		}
		if errno != 0 {
			return errno
		}
	}
	return 0
}

// closeAllBut closes each gap among files, and then all that come after.
//
//go:nosplit
//go:norace
//go:nocheckptr
func closeAllBut(files []int) syscall.Errno {
	next := 0 // follows the last descriptor that stays
	for place := 0; place < len(files); place++ {
		if files[place] < 0 {
			continue
		}
		if next < place {
			if _, _, errno := syscall.RawSyscall(unix.SYS_CLOSE_RANGE, uintptr(next), uintptr(place-1), 0); errno != 0 {
				return errno
			}
		}
		next = place + 1
	}
	_, _, errno := syscall.RawSyscall(unix.SYS_CLOSE_RANGE, uintptr(next), math.MaxUint32, 0)
	return errno
}
