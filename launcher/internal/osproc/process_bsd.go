//go:build darwin || freebsd

package osproc

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"
)

// sysProcAttr returns what the process of c is to be.
func sysProcAttr(c Command, _ *int) *syscall.SysProcAttr {
	var sys syscall.SysProcAttr
	if c.Attr != nil {
		sys = *c.Attr
	}
	sys.Setsid = !c.NoSession
	return &sys
}

// checkFlags has none to check.
func checkFlags(*syscall.SysProcAttr) error { return nil }

// A Process is a child of this program that leads a session and a group. A
// goroutine of its own, and with it a thread, waits for it and reaps it at
// once; after that its group cannot be signalled safely any more, and is not.
type Process struct {
	pid   int
	ended chan struct{} // closed after exit is set
	exit  Exit

	mu     sync.Mutex // held while signalling, so that nobody does after reaped
	reaped bool
}

func newProcess(pid, _ int) *Process {
	p := &Process{pid: pid, ended: make(chan struct{})}
	go p.reap()
	return p
}

func (p *Process) reap() {
	var status unix.WaitStatus
	for {
		_, err := unix.Wait4(p.pid, &status, 0, nil)
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if err == nil {
			p.exit = Exit{Code: max(status.ExitStatus(), 0), CoreDumped: status.CoreDump(), Known: true}
			if status.Signaled() {
				p.exit.Signal = status.Signal()
			}
		}
		break
	}
	p.mu.Lock()
	p.reaped = true
	p.mu.Unlock()
	close(p.ended)
}

// PID returns the process's id.
func (p *Process) PID() int { return p.pid }

// Wait returns how the process ended, once it has, at every call. Once ctx is done
// it returns context.Cause(ctx), unless the process has ended already: so with a
// ctx that is done from the start, Wait just looks.
func (p *Process) Wait(ctx context.Context) (Exit, error) {
	select {
	case <-p.ended:
		return p.exit, nil
	default:
	}
	select {
	case <-p.ended:
		return p.exit, nil
	case <-ctx.Done():
		return Exit{}, context.Cause(ctx)
	}
}

// Signal sends sig, a syscall.Signal, to the whole group. It returns
// [os.ErrProcessDone] once the process has ended.
func (p *Process) Signal(_ context.Context, sig os.Signal) error { return p.signal(-p.pid, sig) }

// SignalFirst sends sig to the process alone, as Signal does to the group.
func (p *Process) SignalFirst(_ context.Context, sig os.Signal) error { return p.signal(p.pid, sig) }

func (p *Process) signal(pid int, sig os.Signal) error {
	number, ok := sig.(syscall.Signal)
	if !ok {
		return fmt.Errorf("signal %v: not a signal of this system", sig)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.reaped {
		return os.ErrProcessDone
	}
	err := unix.Kill(pid, number)
	if pid < 0 && errors.Is(err, unix.ESRCH) {
		err = unix.Kill(-pid, number) // it leads no group: Command.NoSession
	}
	if err != nil {
		return fmt.Errorf("signal pid %d with %v: %w", pid, number, err)
	}
	return nil
}

// Pinned reports whether the number of the process is its own.
func (p *Process) Pinned() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return !p.reaped
}

// GroupPinned is Pinned.
func (p *Process) GroupPinned() bool { return p.Pinned() }

// Reap has nothing to do: the goroutine has reaped the process. Nobody waits for
// the rest of its group, which cannot be seen here.
func (p *Process) Reap(context.Context) error { return nil }

// Release has nothing to do: the goroutine goes on waiting.
func (p *Process) Release() {}

// Outlook and HasChildren cannot tell, and say that it stays as it is.
func (p *Process) Outlook() (runs, ending bool) { return false, false }

// HasChildren is as Outlook.
func (p *Process) HasChildren() bool { return false }

// Notes returns nothing: no system but Linux tells what would explain that the
// process does nothing.
func (p *Process) Notes() []string { return nil }

// sweep has nothing to do here: every child has its goroutine.
func sweep() {}

// forkKnown is forkExec: there are no pidfds.
func forkKnown(path string, argv []string, attr *syscall.ProcAttr) (pid int, err error) {
	return forkExec(path, argv, attr)
}
