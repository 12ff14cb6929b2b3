package launcher

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"time"

	"github.com/podlaunch/podlaunch/launcher/internal/osproc"
	"github.com/podlaunch/podlaunch/launcher/internal/ownership"
	"github.com/podlaunch/podlaunch/logsource"
	"github.com/podlaunch/podlaunch/readiness"
)

// intent is what is written down before the process is started, without the digests.
func (n *attempt) intent(p *plan) ownership.Intent {
	command := redact(p.cmd.Command, n.spec.Overlay)
	_, elsewhere := n.Starter.(Finder)
	return ownership.Intent{
		Launch:     n.id,
		Session:    n.spec.Session,
		Command:    append([]string{command.Path}, command.Args...),
		Dir:        p.dir,
		Log:        p.log.Path,
		Started:    time.Now().UTC(), // what the local time is, the first launch would have to read from a file
		Elsewhere:  elsewhere,
		KillMode:   int(n.spec.KillMode),
		StopSignal: int(n.spec.StopSignal),
		Lifetime:   int(n.spec.Lifetime),
		Cgroup:     p.cgroup.Path(),
	}
}

// recordStart records the identity of pod's process, which was just started. If the
// process has no pid and cannot be found elsewhere, recordStart removes the record. If
// the process is gone already, recordStart adds nothing.
func (c *claimed) recordStart(pod *Pod) error {
	if pod.PID() == 0 {
		if c.Started() {
			return nil // it is known by its launch
		}
		return c.Forget()
	}
	id, err := osproc.Identify(pod.PID())
	switch {
	case errors.Is(err, osproc.ErrGone):
		return nil
	case err != nil:
		return fmt.Errorf("identify pid %d: %w", pod.PID(), err)
	case pod.hasExited():
		if c, ours := pod.proc.(child); ours && c.Pinned() {
			pod.first = id // it is a zombie
		}
		return nil // somebody else may have reaped it, and the pid be a stranger's
	}
	pod.first = id
	if err := c.Claim.Start(id, pod.digests); err != nil {
		return fmt.Errorf("record pid %d: %w", id.PID, err)
	}
	return nil
}

// recordReady writes down that pod is ready at e.
func (c *claimed) recordReady(pod *Pod, e readiness.Endpoint) (err error) {
	if err := c.RemoveOverlay(); err != nil {
		return err
	}
	answer := ownership.Answer{Ready: true, Network: e.Network, Address: e.Address}
	switch {
	case pod.origin != nil:
		err = c.Succeed(pod.first, pod.digests, answer)
	case c.Started(): // else nobody can be given it
		err = c.Ready(answer)
	}
	if err != nil {
		return fmt.Errorf("record that the pod is ready: %w", err)
	}
	return nil
}

// settle records that the pod is ready at e, and leaves the name to it. With the
// record the launch has succeeded: others may have been given the pod by now, and
// so nothing that comes after it ends the pod, neither a cleanup of the probe that
// is slow, or panics, nor a caller who has given up.
//
// The log is not closed here, but when the launch is over (closeLater): it takes a tenth
// of the time between the ready line and the return to tell the kernel that nobody watches
// the log any more. The pod's end waits for it (Pod.watch). The log is identified before:
// the caller may replace it at once.
func (n *attempt) settle(ctx context.Context, p *plan, pod *Pod, e readiness.Endpoint) (*Pod, error) {
	logFile, _ := logsource.IdentifyFile(p.log.Path)
	if pod.origin != nil {
		if err := n.knowProcess(ctx, pod); err != nil {
			return nil, err
		}
	}
	if err := pod.shareJob(); err != nil {
		return nil, err
	}
	if err := p.name.recordReady(pod, e); err != nil {
		return nil, err
	}
	pod.outlive()
	n.made.keep()
	closing := make(chan struct{})
	if n.private {
		pod.private = &privateDir{p.name.Base(), n.spec.Name}
	}
	pod.keep(e, logFile, closing)
	if pod.origin != nil {
		p.streams.endWith(pod.watching)
		pod.origin.leave()
	}
	n.pod = pod
	n.fate.CompareAndSwap(fateOpen, fateReady)
	p.name.Settle()
	n.closing = func() {
		defer close(closing)
		p.name.Close()
		closeLog(p.log)
		if p.stdout != nil {
			closeLog(p.stdout)
		}
	}
	panicked := p.streams.keep() // of a writer, since the wait for readiness
	p.probe.close()              // last, for it is the probe's: it may hang, or panic
	if panicked != nil {
		panicked.pass()
	}
	return pod, nil
}

// closeLater closes what settle has left open, in the worker that has run settle. Who
// waits for the launch goes first: it is on this thread by now, and to wake another thread
// for one of the two takes longer than to close.
func (n *attempt) closeLater() {
	if n.closing != nil {
		runtime.Gosched()
		n.closing()
	}
}
