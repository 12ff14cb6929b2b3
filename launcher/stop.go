package launcher

import (
	"context"
	"errors"
	"fmt"
	"os"
	"syscall"
	"time"

	"github.com/podlaunch/podlaunch/launcher/internal/unixproc"
)

// Stop ends the pod and returns nil when it is gone, or if it is gone already.
//
// The pod's whole group gets SIGTERM (and SIGCONT, for a stopped process would
// not notice). If the process is still there after [Launcher.Grace], the group
// gets SIGKILL; what is left of it when the process ends gets SIGKILL then.
// Stop may be called any number of times and from anywhere: there is one
// SIGTERM and one grace.
//
// Once ctx is done Stop returns an error wrapping context.Cause(ctx). The pod
// has been sent what it was due by then, and nothing more follows until
// somebody calls Stop again. An error that wraps something else says why the
// pod could not be signalled, or what is left of it.
func (p *Pod) Stop(ctx context.Context) error {
	err := p.stop(ctx)
	if err != nil {
		who := printable(p.name, 256)
		if p.PID() != 0 {
			who += fmt.Sprintf(" (pid %d)", p.PID())
		}
		return fmt.Errorf("stop pod %s: %w", who, err)
	}
	return nil
}

func (p *Pod) stop(ctx context.Context) error {
	select {
	case <-p.ended: // it gets no signal any more
		return p.stopped()
	default:
	}
	killAt, err := p.terminate(ctx)
	if err != nil {
		return err
	}
	grace := time.NewTimer(time.Until(killAt))
	defer grace.Stop()
	select {
	case <-p.ended:
		return p.stopped()
	case <-ctx.Done():
		return fmt.Errorf("it was sent SIGTERM and is still there: %w", context.Cause(ctx))
	case <-grace.C:
	}
	select {
	case <-p.ended: // in the same instant
		return p.stopped()
	default:
	}
	if err := p.signal(ctx, syscall.SIGKILL); err != nil {
		return err
	}
	select {
	case <-p.ended:
		return p.stopped()
	case <-ctx.Done():
		return fmt.Errorf("it was sent SIGKILL and is still there: %w", context.Cause(ctx))
	}
}

// stopped is what stop returns once the goroutine has ended.
func (p *Pod) stopped() error {
	select {
	case <-p.done:
		return p.reapErr
	default:
		return errReleased
	}
}

// terminate sends SIGTERM, the first time it is called, and returns when
// SIGKILL is due.
func (p *Pod) terminate(ctx context.Context) (time.Time, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.stopping {
		return p.killAt, nil
	}
	p.stopping, p.killAt = true, time.Now().Add(p.grace)
	if p.grace < 0 {
		return p.killAt, nil
	}
	p.log.Debug("stopping", "pid", p.PID(), "grace", p.grace)
	if err := p.signal(ctx, syscall.SIGTERM); err != nil {
		p.stopping = false
		return time.Time{}, err
	}
	// That it cannot be sent is no error: an engine may have no such signal.
	_ = p.signal(ctx, unixproc.SIGCONT)
	return p.killAt, nil
}

// signal signals the group; that there is nobody left is no error.
func (p *Pod) signal(ctx context.Context, sig syscall.Signal) error {
	if err := p.proc.Signal(ctx, sig); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return err
	}
	return nil
}

// kill ends the whole group of a pod that did not become ready. Its error says
// what could not be ended.
func (p *Pod) kill() error {
	bound, cancel := context.WithTimeout(context.Background(), killPatience)
	defer cancel()
	err := p.sendKill(bound)
	wait := killPatience
	if err != nil {
		wait = patience // it was not told to go, but may be going
	}
	if _, gone := receive(p.done, wait); gone {
		return p.reapErr
	}
	if err == nil {
		err = fmt.Errorf("it has not gone within %v of SIGKILL", killPatience)
	}
	if p.PID() == 0 {
		return fmt.Errorf("its process may still be running: %w", err)
	}
	return fmt.Errorf("process %d may still be running: %w", p.PID(), err)
}

// sendKill sends SIGKILL for kill, and lets the Pod's goroutine go on. If the signal
// panics that goroutine still reaps, but signals nobody.
func (p *Pod) sendKill(ctx context.Context) error {
	defer close(p.settled)
	err := p.signal(ctx, syscall.SIGKILL)
	p.mu.Lock()
	defer p.mu.Unlock()
	p.stopping, p.killAt = true, time.Now()
	return err
}
