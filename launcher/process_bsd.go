//go:build darwin || freebsd

package launcher

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"
)

func sysProcAttr(*int) *syscall.SysProcAttr { return &syscall.SysProcAttr{Setsid: true} }

// A process is a child of this program that leads a session and a group. A
// goroutine of its own, and with it a thread, waits for it and reaps it at
// once; after that its group cannot be signalled safely any more, and is not.
type process struct {
	pid   int
	ended chan struct{} // closed after exit is set
	exit  Exit

	mu     sync.Mutex // held while signalling, so that nobody does after reaped
	reaped bool
}

func newProcess(pid, _ int) *process {
	p := &process{pid: pid, ended: make(chan struct{})}
	go p.reap()
	return p
}

func (p *process) reap() {
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

func (p *process) PID() int { return p.pid }

// Wait implements [Process].
func (p *process) Wait(ctx context.Context) (Exit, error) {
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

// Signal implements [Process].
func (p *process) Signal(_ context.Context, sig os.Signal) error {
	number, ok := sig.(syscall.Signal)
	if !ok {
		return fmt.Errorf("signal %v: not a signal of this system", sig)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.reaped {
		return os.ErrProcessDone
	}
	if err := unix.Kill(-p.pid, number); err != nil {
		return fmt.Errorf("signal the group of pid %d with %v: %w", p.pid, number, err)
	}
	return nil
}

// notes says what may explain that the process does not become ready.
func (p *process) notes() []string { return nil }

// sweepReleased has nothing to do here: every child has its goroutine.
func sweepReleased() {}

// descriptorDir lists the descriptors of this process (fd(4)). On freebsd it is
// complete only where fdescfs(4) is mounted.
const descriptorDir = "/dev/fd"

// askDescriptors knows nothing: the directory has to be read.
func askDescriptors() (highest int, low, known bool) { return 0, false, false }

// forkExecAlone is not there: no thread can have descriptors of its own.
func forkExecAlone(string, []string, *syscall.ProcAttr) (int, uintptr, error) {
	return 0, 0, errors.ErrUnsupported
}

// canForkAlone reports whether forkExecAlone works.
func canForkAlone() bool { return false }

// checkArgumentSpace leaves it to the system.
func checkArgumentSpace(*Command) error { return nil }
