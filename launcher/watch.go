package launcher

import (
	"context"
	"errors"
	"fmt"
	"os"
	"syscall"

	"github.com/podlaunch/podlaunch/logsource"
	"github.com/podlaunch/podlaunch/readiness"
)

// newPod returns the Pod of a process, with what config says of it. The caller
// has to call keep or kill.
func newPod(config podConfig, proc Process) *Pod {
	p := &Pod{
		podConfig: config,
		proc:      proc,
		exited:    make(chan struct{}),
		settled:   make(chan struct{}),
		done:      make(chan struct{}),
		ended:     make(chan struct{}),
	}
	p.life, p.forget = context.WithCancel(context.Background())
	go p.watch(p.life)
	return p
}

// watch is the Pod's goroutine: it waits for the process to end, clears away
// what is left of it, and tells everybody.
func (p *Pod) watch(ctx context.Context) {
	defer close(p.ended)
	defer p.forget()
	p.exit, p.waitErr = p.proc.Wait(ctx)
	if p.waitErr != nil && ctx.Err() != nil {
		if r, ok := p.proc.(Releaser); ok {
			r.Release()
		}
		return
	}
	close(p.exited)
	<-p.settled
	bound, cancel := context.WithTimeout(context.Background(), killPatience)
	defer cancel()
	if p.isStopping() {
		// Who outlives the leader of a pod that is being stopped has had its
		// SIGTERM. The leader is not reaped yet, so its group's number is safe.
		if err := p.proc.Signal(bound, syscall.SIGKILL); err != nil && !errors.Is(err, os.ErrProcessDone) {
			p.reapErr = err
		}
	}
	if r, ok := p.proc.(Reaper); ok {
		p.reapErr = errors.Join(p.reapErr, r.Reap(bound))
	}
	if p.closing != nil {
		// It was over long ago, unless the filesystem does not answer. Who waits for
		// the end may want to unmount it.
		receive(p.closing, patience)
	}
	p.log.Debug("process is gone", "pid", p.PID(), "exit", p.exit.String())
	close(p.done)
}

// keep makes p a pod that is ready at e, and whose log is logFile; zero if it has
// none here. Until closing is closed, the launch still has the log open.
func (p *Pod) keep(e readiness.Endpoint, logFile logsource.FileID, closing <-chan struct{}) {
	p.endpoint, p.logFile, p.closing = e, logFile, closing
	close(p.settled)
}

// hasExited looks whether the process has ended by now, and waits until the
// Pod knows it if so.
func (p *Pod) hasExited() bool {
	select {
	case <-p.exited:
		return true
	default:
	}
	if !p.endedByNow() {
		return false
	}
	<-p.exited
	return true
}

// endedByNow asks the process. One that is not ours may take no notice of the context.
func (p *Pod) endedByNow() bool {
	now, cancel := context.WithCancel(context.Background())
	cancel()
	if _, ours := p.proc.(child); ours {
		_, err := p.proc.Wait(now)
		return err == nil
	}
	o, ok := receive(spawn(func() (Exit, error) { return p.proc.Wait(now) }), patience)
	if o.crash != nil {
		o.crash.pass()
	}
	return ok && o.err == nil
}

// Done returns a channel that is closed when the process is gone: it has ended
// and is reaped. After [Pod.Release] it stays open.
func (p *Pod) Done() <-chan struct{} { return p.done }

// Wait waits until the process is gone and returns how it ended, at every
// call. The error is not about the pod: it says that the waiting failed, and
// wraps context.Cause(ctx) if that is why. A pod that was released cannot be
// waited for.
func (p *Pod) Wait(ctx context.Context) (Exit, error) {
	select {
	case <-p.ended:
	case <-ctx.Done():
		select {
		case <-p.ended: // it is gone, and that is worth more
		default:
			return Exit{}, fmt.Errorf("wait for pod %s: %w", printable(p.name, 256), context.Cause(ctx))
		}
	}
	select {
	case <-p.done:
	default:
		return Exit{}, fmt.Errorf("wait for pod %s: %w", printable(p.name, 256), errReleased)
	}
	if p.waitErr != nil {
		return Exit{}, fmt.Errorf("wait for pod %s: %w", printable(p.name, 256), p.waitErr)
	}
	return p.exit, nil
}

// Release forgets the pod: it goes on running, and what it takes in this
// program, a goroutine and a descriptor, is given back before Release returns.
// Afterwards the pod can be neither waited for nor stopped through p, and the
// readers of [Pod.Follow] end. Release does nothing if the pod is gone.
//
// A released pod that ends while this program is still running stays a zombie
// until the next launch, or the end of this program.
func (p *Pod) Release() {
	p.forget()
	<-p.ended
}
