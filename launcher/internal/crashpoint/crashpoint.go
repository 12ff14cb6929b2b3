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
	"runtime"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// guard is how long a program may run. It only ends programs that hang.
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

// CanFail says whether calls can be made to fail on this architecture.
const CanFail = canFail
