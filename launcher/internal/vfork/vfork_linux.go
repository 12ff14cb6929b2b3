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

// vfork is clone(2) with the stack of the caller, which goes on in the child, and in the
// parent once the child has executed a program or has ended. errno is 0 in both.
//
//go:noescape
func vfork(flags uintptr, pidfd *int32) (pid, errno uintptr)

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
	limit     *unix.Rlimit // on descriptors; nil: the parent's

	pidfd int32         // set by the kernel
	ran   bool          // it has shared the memory
	did   deed          // that it has come to
	errno syscall.Errno // of that; 0: the child has executed a program, or has died
}

// A deed is something that a child does. It says so before: it may die of it.
type deed uint8

const (
	nothing deed = iota // yet
	makeSession
	changeDirectory
	moveFiles
	closeOthers
	setLimit
	execute
)

// refused says that the kernel, or a filter, has refused something that every child
// needs. It will do so again.
var refused atomic.Bool

func start(p *Program) (pid, pidfd int, err error) {
	if refused.Load() {
		return 0, -1, errors.ErrUnsupported
	}
	c, err := newChild(p)
	if err != nil {
		return 0, -1, err
	}
	n, errno := fork(c)
	runtime.KeepAlive(c)
	pid, pidfd = int(n), int(c.pidfd)
	switch {
	case isShort(errno):
		return 0, -1, errno
	case errno != 0: // no CLONE_PIDFD
		return 0, -1, unsupported("clone", errno)
	case !c.ran: // an emulator of system calls that forks instead
		unix.PidfdSendSignal(pidfd, unix.SIGKILL, nil, 0)
		reap(pid, pidfd)
		return 0, -1, unsupported("share the memory with a child", syscall.ENOSYS)
	case c.did == execute && c.errno == 0:
		return pid, pidfd, nil
	}
	reap(pid, pidfd)
	switch {
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
// The child must not touch a frame of the parent's stack that is used later. So the
// parent goes on here, and the child in beChild's frame, which is dead by then.
func fork(c *child) (pid uintptr, errno syscall.Errno) {
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
		e           uintptr
		place, next int
		count       = len(c.files)
	)
	runtimeBeforeFork()
	pid, e = vfork(unix.CLONE_VM|unix.CLONE_VFORK|unix.CLONE_PIDFD|uintptr(unix.SIGCHLD), &c.pidfd)
	if e != 0 || pid != 0 {
		return pid, syscall.Errno(e)
	}
	c.ran = true
	if c.setsid {
		c.did = makeSession
		if _, _, errno = syscall.RawSyscall(unix.SYS_SETSID, 0, 0, 0); errno != 0 {
			goto failed
		}
	}
	runtimeAfterForkInChild()
	if c.dir != nil {
		c.did = changeDirectory
		if _, _, errno = syscall.RawSyscall(unix.SYS_CHDIR, uintptr(unsafe.Pointer(c.dir)), 0, 0); errno != 0 {
			goto failed
		}
	}
	c.did = moveFiles
	// A descriptor in the place of another moves out of the way first.
	for place = 0; place < count; place++ {
		next = c.files[place]
		if next >= 0 && next < count && next != place && c.files[next] >= 0 {
			if pid, _, errno = syscall.RawSyscall(unix.SYS_FCNTL, uintptr(next), unix.F_DUPFD_CLOEXEC, uintptr(count)); errno != 0 {
				goto failed
			}
			c.files[place] = int(pid)
		}
	}
	for place = 0; place < count; place++ {
		switch {
		case c.files[place] == place:
			_, _, errno = syscall.RawSyscall(unix.SYS_FCNTL, uintptr(place), unix.F_SETFD, 0)
		case c.files[place] >= 0:
			_, _, errno = syscall.RawSyscall(unix.SYS_DUP3, uintptr(c.files[place]), uintptr(place), 0)
		}
		if errno != 0 {
			goto failed
		}
	}
	c.did = closeOthers
	// Each gap is closed, and then all that come after.
	for place = 0; place < count; place = next {
		for next = place; next < count && c.files[next] < 0; next++ {
		}
		if next > place {
			if _, _, errno = syscall.RawSyscall(unix.SYS_CLOSE_RANGE, uintptr(place), uintptr(next-1), 0); errno != 0 {
				goto failed
			}
			continue
		}
		next = place + 1
	}
	if _, _, errno = syscall.RawSyscall(unix.SYS_CLOSE_RANGE, uintptr(count), math.MaxUint32, 0); errno != 0 {
		goto failed
	}
	if c.limit != nil {
		c.did = setLimit
		if _, _, errno = syscall.RawSyscall6(unix.SYS_PRLIMIT64, 0, unix.RLIMIT_NOFILE, uintptr(unsafe.Pointer(c.limit)), 0, 0, 0); errno != 0 {
			goto failed
		}
	}
	c.did = execute
	_, _, errno = syscall.RawSyscall(unix.SYS_EXECVE, uintptr(unsafe.Pointer(c.path)), uintptr(unsafe.Pointer(&c.argv[0])), uintptr(unsafe.Pointer(&c.env[0])))

failed:
	c.errno = errno
	for {
		syscall.RawSyscall(unix.SYS_EXIT, 253, 0, 0)
	}
}
