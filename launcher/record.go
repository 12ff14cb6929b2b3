package launcher

import (
	"errors"
	"fmt"
	"time"

	"github.com/podlaunch/podlaunch/launcher/internal/ownership"
	"github.com/podlaunch/podlaunch/launcher/internal/unixproc"
	"github.com/podlaunch/podlaunch/logsource"
	"github.com/podlaunch/podlaunch/readiness"
)

// intent is what is written down before the process is started. That the program's
// file cannot be seen is no error here: starting it is what tells. If it is replaced
// before it is started, the earlier one is written down.
func (n *attempt) intent(p *plan) ownership.Intent {
	command := redact(p.cmd.Command, n.spec.Overlay)
	digests, _ := n.digests(n.id, p.workDir, p.cmd)
	_, elsewhere := n.Starter.(Finder)
	return ownership.Intent{
		Launch:     n.id,
		Session:    n.spec.Session,
		Command:    append([]string{command.Path}, command.Args...),
		Dir:        p.dir,
		Log:        p.log.Path,
		Started:    time.Now(),
		Elsewhere:  elsewhere,
		KillMode:   int(n.spec.KillMode),
		StopSignal: int(n.spec.StopSignal),
		Digests:    digests,
	}
}

// recordStart writes down who the process of pod is, which was just started. Of one
// that has no pid, and cannot be found elsewhere, nothing stays written down; one
// that is gone already adds nothing.
func (c *claimed) recordStart(pod *Pod) error {
	if pod.PID() == 0 {
		if c.Started() {
			return nil // it is known by its launch
		}
		return c.Forget()
	}
	id, err := unixproc.Identify(pod.PID())
	switch {
	case errors.Is(err, unixproc.ErrGone):
		return nil
	case err != nil:
		return fmt.Errorf("identify pid %d: %w", pod.PID(), err)
	case pod.hasExited():
		return nil // somebody else may have reaped it, and the pid be a stranger's
	}
	pod.first = id
	if err := c.Claim.Start(id); err != nil {
		return fmt.Errorf("record pid %d: %w", id.PID, err)
	}
	return nil
}

// recordReady writes down that the pod is ready at e.
func (c *claimed) recordReady(e readiness.Endpoint) error {
	if err := c.RemoveOverlay(); err != nil {
		return err
	}
	if !c.Started() {
		return nil // nobody can be given it
	}
	if err := c.Ready(ownership.Answer{Ready: true, Network: e.Network, Address: e.Address}); err != nil {
		return fmt.Errorf("record that the pod is ready: %w", err)
	}
	return nil
}

// settle records that the pod is ready at e, and leaves the name to it. With the
// record the launch has succeeded: others may have been given the pod by now, and
// so nothing that comes after it ends the pod, neither a cleanup of the probe that
// is slow, or panics, nor a caller who has given up.
//
// The log is closed in a goroutine, and the launch is over before it has ended: it
// takes a tenth of the time between the ready line and the return to tell the kernel
// that nobody watches the log any more. The pod's end waits for it (Pod.watch).
func (n *attempt) settle(p *plan, pod *Pod, e readiness.Endpoint) (*Pod, error) {
	logFile, _ := logsource.IdentifyFile(p.log.Path)
	if err := p.name.recordReady(e); err != nil {
		return nil, err
	}
	n.made.keep()
	closing := make(chan struct{})
	pod.keep(e, logFile, closing)
	n.pod = pod
	n.fate.CompareAndSwap(fateOpen, fateReady)
	p.name.Settle()
	go func() {
		defer close(closing)
		p.name.Close()
		closeLog(p.log)
	}()
	p.probe.close() // last, for it is the probe's: it may hang, or panic
	return pod, nil
}
