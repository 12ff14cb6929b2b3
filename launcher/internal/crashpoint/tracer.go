//go:build linux

package crashpoint

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"sync/atomic"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// A tracer runs one program. All its methods are called by one thread.
type tracer struct {
	leader   int // the program's pid, and the number of its group
	pidfd    int
	n        int // the point to kill it at
	count    func(Point) bool
	fail     func(Call) syscall.Errno
	hang     func(Call) bool
	result   Result
	counting bool
	seen     map[int]bool          // threads that have made their first stop
	calls    map[int]uint64        // the call that a thread, or the child, is in
	failing  map[int]syscall.Errno // what that call is to return
	hanging  map[int]bool          // threads kept at the entry of a call
	child    int                   // of the program, stopped before its exec; 0: none
	gone     bool                  // the program has ended, and is reaped
	hung     atomic.Bool           // the guard had to end it
}

// start starts the program. It is stopped at its first instruction.
func (t *tracer) start(p Program) error {
	null, err := os.OpenFile(os.DevNull, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	defer null.Close()
	stderr := p.Stderr
	if stderr == nil {
		stderr = null
	}
	t.leader, _, err = syscall.StartProcess(p.Path, append([]string{p.Path}, p.Args...), &syscall.ProcAttr{
		Env:   slices.Concat(quiet, p.Env),
		Files: []uintptr{null.Fd(), null.Fd(), stderr.Fd()},
		// A group of its own, so that it can be waited for apart from other
		// children of ours.
		Sys: &syscall.SysProcAttr{Ptrace: true, Setpgid: true, PidFD: &t.pidfd},
	})
	if err != nil {
		return err
	}
	t.seen[t.leader] = true
	var status unix.WaitStatus
	if _, err := wait(t.leader, &status); err != nil {
		return err
	}
	const options = unix.PTRACE_O_EXITKILL | unix.PTRACE_O_TRACESYSGOOD | unix.PTRACE_O_TRACEEXEC |
		unix.PTRACE_O_TRACECLONE | unix.PTRACE_O_TRACEFORK | unix.PTRACE_O_TRACEVFORK
	if err := unix.PtraceSetOptions(t.leader, options); err != nil {
		unix.PidfdSendSignal(t.pidfd, unix.SIGKILL, nil, 0)
		wait(t.leader, &status)
		return fmt.Errorf("set the options of ptrace: %w", err)
	}
	return t.resume(t.leader, 0)
}

// wait waits for a change of one process, or of one of a group if pid is
// negative; of threads too.
func wait(pid int, status *unix.WaitStatus) (int, error) {
	for {
		got, err := unix.Wait4(pid, status, unix.WALL, nil)
		if !errors.Is(err, unix.EINTR) {
			return got, err
		}
	}
}

// trace follows the program until it is gone with all that belongs to it, except a child
// that is kept.
func (t *tracer) trace() error {
	for !t.gone || t.child == 0 {
		var status unix.WaitStatus
		pid, err := wait(-t.leader, &status)
		switch {
		case errors.Is(err, unix.ECHILD):
			return nil
		case err != nil:
			return err
		case pid == t.leader && (status.Exited() || status.Signaled()):
			t.gone, t.result.Status = true, syscall.WaitStatus(status)
		case status.Stopped():
			if err := t.stopped(pid, status); err != nil {
				return err
			}
		}
	}
	return nil
}

// stopped deals with a thread of the program that has stopped.
func (t *tracer) stopped(pid int, status unix.WaitStatus) error {
	if !t.seen[pid] {
		if unix.Tgkill(t.leader, pid, 0) != nil {
			t.child = pid // its parent tells in a moment, unless it is killed
			return nil
		}
		t.seen[pid] = true
		return t.resume(pid, 0) // every thread starts with a SIGSTOP
	}
	signal := 0
	switch cause := status.TrapCause(); {
	case status.StopSignal() == unix.SIGTRAP|0x80:
		if err := t.call(pid, false); err != nil || t.hanging[pid] {
			return err
		}
	case cause == unix.PTRACE_EVENT_FORK, cause == unix.PTRACE_EVENT_VFORK:
		if err := t.forked(pid); err != nil {
			return err
		}
	case cause > 0: // a thread was made, or the program has become another
	default:
		signal = int(status.StopSignal())
	}
	return t.resume(pid, signal)
}

// resume lets a thread go on until its next stop. That it is gone is no error:
// the program may have been killed.
func (t *tracer) resume(pid, signal int) error {
	if err := unix.PtraceSyscall(pid, signal); err != nil && !errors.Is(err, unix.ESRCH) {
		return fmt.Errorf("resume thread %d: %w", pid, err)
	}
	return nil
}

// forked follows the child of a thread that has just forked to its exec, and
// lets it go there. Meanwhile the program's other threads run to their next
// system call.
func (t *tracer) forked(parent int) error {
	msg, err := unix.PtraceGetEventMsg(parent)
	if err != nil {
		return ignoreGone(err)
	}
	child := int(msg)
	if t.child != child {
		var status unix.WaitStatus
		if _, err := wait(child, &status); err != nil {
			return fmt.Errorf("wait for the child %d: %w", child, err)
		}
		t.child = child
	}
	t.point(Point{Call: name(t.calls[parent]), Where: "child"})
	for !t.result.Killed {
		if err := t.resume(child, 0); err != nil {
			return err
		}
		var status unix.WaitStatus
		_, err := wait(child, &status)
		switch {
		case err != nil:
			return fmt.Errorf("wait for the child %d: %w", child, err)
		case !status.Stopped():
			t.child = 0 // it could not exec
			return nil
		case status.TrapCause() == unix.PTRACE_EVENT_EXEC:
			t.child = 0
			return unix.PtraceDetach(child)
		case status.StopSignal() == unix.SIGTRAP|0x80:
			if err := t.call(child, true); err != nil {
				return err
			}
		}
	}
	return nil
}

// call notes that a thread, or the child, enters or leaves a system call.
func (t *tracer) call(pid int, child bool) error {
	var info syscallInfo
	_, _, errno := unix.Syscall6(unix.SYS_PTRACE, unix.PTRACE_GET_SYSCALL_INFO,
		uintptr(pid), unsafe.Sizeof(info), uintptr(unsafe.Pointer(&info)), 0, 0)
	switch {
	case errno != 0:
		return ignoreGone(fmt.Errorf("ask for the system call of thread %d: %w", pid, errno))
	case info.op == unix.PTRACE_SYSCALL_INFO_ENTRY:
		t.calls[pid] = info.number
		switch mark := info.args[0]; {
		case info.number != unix.SYS_CLOSE:
		case mark == begin:
			t.counting = true
			return nil
		case mark == end:
			t.counting = false
			return t.goOn()
		}
		t.point(Point{Call: name(info.number), Where: "entry", Child: child})
		return t.enter(pid, &info, child)
	case info.op == unix.PTRACE_SYSCALL_INFO_EXIT:
		if err := t.leave(pid); err != nil {
			return err
		}
		t.point(Point{Call: name(t.calls[pid]), Where: "exit", Child: child})
	}
	return nil
}

// enter asks Program.Fail and Program.Hang what becomes of the call that a thread, or the
// child, has come to. It skips a call that fails. The exception is close(2), which on
// Linux frees the descriptor no matter what it returns.
func (t *tracer) enter(pid int, info *syscallInfo, child bool) error {
	if !t.counting || t.fail == nil && t.hang == nil {
		return nil
	}
	call := Call{Name: name(info.number), On: on(pid, info), Child: child}
	if t.fail != nil {
		if errno := t.fail(call); errno != 0 {
			t.failing[pid] = errno
			if info.number == unix.SYS_CLOSE {
				return nil
			}
			return ignoreGone(skipCall(pid))
		}
	}
	if t.hang != nil && !child && t.hang(call) {
		t.hanging[pid] = true
	}
	return nil
}

// goOn lets the threads make their calls that hang.
func (t *tracer) goOn() error {
	for pid := range t.hanging {
		delete(t.hanging, pid)
		if err := t.resume(pid, 0); err != nil {
			return err
		}
	}
	return nil
}

// leave sets the result of the call that a thread, or the child, comes back from, if
// Program.Fail has chosen an error for it.
func (t *tracer) leave(pid int) error {
	errno := t.failing[pid]
	if errno == 0 {
		return nil
	}
	delete(t.failing, pid)
	return ignoreGone(setResult(pid, errno))
}

// point counts a point, and kills the program if it is the one.
func (t *tracer) point(at Point) {
	if !t.counting || t.result.Killed || !t.count(at) {
		return
	}
	t.result.Points++
	if t.result.Points != t.n {
		return
	}
	t.result.Killed, t.result.At = true, at
	// It cannot fail: the program is not reaped.
	unix.PidfdSendSignal(t.pidfd, unix.SIGKILL, nil, 0)
}

// letGo lets the child go that is kept, after held, if there is one, was
// called.
func (t *tracer) letGo(held func()) error {
	if held != nil {
		held()
	}
	if t.child == 0 {
		return nil
	}
	err := unix.PtraceDetach(t.child)
	if errors.Is(err, unix.ESRCH) { // it was killed meanwhile
		var status unix.WaitStatus
		_, err = wait(t.child, &status)
	}
	return err
}

func ignoreGone(err error) error {
	if errors.Is(err, unix.ESRCH) {
		return nil
	}
	return err
}
