package launcher

import (
	"context"
	"fmt"

	"github.com/podlaunch/podlaunch/logsource"
	"github.com/podlaunch/podlaunch/readiness"
)

// keep makes p a pod that is ready at e, and whose log is logFile; zero if it has
// none here. Until closing is closed, the launch still has the log open.
func (p *Pod) keep(e readiness.Endpoint, logFile logsource.FileID, closing <-chan struct{}) {
	p.endpoint, p.logFile, p.closing = e, logFile, closing
	close(p.settled)
}

// Done returns a channel that is closed when the process is gone: it has ended
// and is reaped, and the directory of a private pod is removed. After [Pod.Release] it stays open.
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
// readers of [Pod.Follow] end, as do the writers of the Spec, once they have got what was
// written by then ([Pod.Drain]). Release does nothing if the pod is gone.
//
// A released pod that ends while this program is still running stays a zombie
// until the next launch, or the end of this program. If it is private, a later launch of
// a private pod removes its directory.
func (p *Pod) Release() {
	p.forget()
	<-p.ended
	if p.origin != nil {
		p.origin.Release()
	}
}
