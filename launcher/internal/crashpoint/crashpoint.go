//go:build linux

// Package crashpoint ends a program with SIGKILL at one of the points between
// its system calls, so that a test can try all of them.
//
// A point is where one of the program's threads enters a system call or leaves
// it. What a child does that the program has forked counts too, up to its exec:
// there the program is killed, not the child, which goes on as it would have.
//
// It can also have any of those system calls fail, with any error, or hang.
package crashpoint

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// Begin says that points count from here on, End that they do so no more. They
// are called by the program that is run, and do nothing in any other.
func Begin() { mark(begin) }

// End is the other end of what Begin begins.
func End() { mark(end) }

// The marks are descriptors that no program has, so that closing them does
// nothing, and can be seen from outside.
const (
	begin = 0x7ffffff0 + iota
	end
)

func mark(fd int) {
	if err := unix.Close(fd); !errors.Is(err, unix.EBADF) {
		panic(fmt.Sprintf("crashpoint: descriptor %d could be closed (%v)", fd, err))
	}
}

// A Program is what Run runs.
type Program struct {
	Path   string
	Args   []string // without argv[0]
	Env    []string
	Stderr *os.File // nil: null

	// Count says which points count. Nil: all of them.
	Count func(Point) bool

	// Fail, if it is not nil, is asked about every system call between Begin and
	// End, one after the other, and says with which error it fails; 0: with none.
	// It needs [CanFail].
	Fail func(Call) syscall.Errno

	// Hang, if it is not nil, is asked about the calls that are not to fail, but
	// not about those of the child, and says which are not made before End.
	Hang func(Call) bool

	// Held is called, if it is not nil, when the program was killed and is
	// gone, while the child that it had forked, if any, is kept where it is:
	// between its fork and its exec. The child goes on when Held returns.
	Held func()
}

// A Point is where a program was killed.
type Point struct {
	Call  string // the system call, by its name
	Where string // "entry", "exit", or "child": it has made one
	Child bool   // it is a call of the child that the program had forked
}

func (p Point) String() string {
	if p.Child {
		return p.Call + " " + p.Where + " in the child"
	}
	return p.Call + " " + p.Where
}

// A Result is what became of a program.
type Result struct {
	Points int   // that were counted
	Killed bool  // it did not get to End before
	At     Point // where, if Killed
	Status syscall.WaitStatus
}

// guard is how long a program may run. It only ends one that hangs.
const guard = 2 * time.Minute

// Run runs the program and kills it at its nth point, counted from 1. It
// returns when the program is gone. With n 0 the program is not killed.
func Run(p Program, n int) (Result, error) {
	// The kernel takes requests from the thread that has begun to trace.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	t := &tracer{n: n, count: p.Count, fail: p.Fail, hang: p.Hang, pidfd: -1,
		seen: make(map[int]bool), calls: make(map[int]uint64), failing: make(map[int]syscall.Errno), hanging: make(map[int]bool)}
	if t.count == nil {
		t.count = func(Point) bool { return true }
	}
	err := t.start(p)
	if err != nil {
		return Result{}, fmt.Errorf("start %s: %w", p.Path, err)
	}
	defer unix.Close(t.pidfd)
	timer := time.AfterFunc(guard, func() {
		t.hung.Store(true)
		unix.PidfdSendSignal(t.pidfd, unix.SIGKILL, nil, 0)
	})
	err = t.trace()
	if !timer.Stop() && t.hung.Load() && err == nil {
		err = fmt.Errorf("it was still running after %v", guard)
	}
	if err != nil {
		err = fmt.Errorf("trace %s: %w", p.Path, err)
	}
	return t.result, errors.Join(err, t.letGo(p.Held))
}
