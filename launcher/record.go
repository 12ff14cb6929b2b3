package launcher

import (
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/podlaunch/podlaunch/launcher/internal/ownership"
	"github.com/podlaunch/podlaunch/launcher/internal/unixproc"
	"github.com/podlaunch/podlaunch/readiness"
)

// newRecord returns the record of the process that is about to be started.
func (n *attempt) newRecord(p *plan) ownership.Record {
	command := redact(p.cmd.Command, n.spec.Overlay)
	return ownership.Record{
		Launch:  n.id,
		Session: n.spec.Session,
		Command: append([]string{command.Path}, command.Args...),
		Dir:     p.dir,
		Log:     p.log.Path,
		Started: time.Now(),
	}
}

// recordAhead writes down, before there is a process, that one will run elsewhere:
// it does not hold the name, as one of this machine does from its first instant.
func (c *claimed) recordAhead(r ownership.Record) error {
	r.Elsewhere = true
	if err := c.Record(r); err != nil {
		return fmt.Errorf("record launch %v: %w", r.Launch, err)
	}
	c.record = r
	return nil
}

// recordStart writes down who the process of pod is, which was just started. One
// that has no pid here, or is gone already, is not written down.
func (c *claimed) recordStart(r ownership.Record, pod *Pod) error {
	id, err := unixproc.Identify(pod.PID())
	if err != nil {
		if pod.PID() == 0 || errors.Is(err, unixproc.ErrGone) {
			return nil
		}
		return fmt.Errorf("identify pid %d: %w", pod.PID(), err)
	}
	if pod.hasExited() {
		return nil // somebody else may have reaped it, and the pid be a stranger's
	}
	r.Identity = id
	if err := c.Record(r); err != nil {
		return fmt.Errorf("record pid %d: %w", id.PID, err)
	}
	c.record = r
	return nil
}

// recordReady writes down that the pod is ready at e, unless may has an error when
// it comes to that.
func (c *claimed) recordReady(e readiness.Endpoint, may func() error) error {
	if err := c.RemoveOverlay(); err != nil {
		return err
	}
	if c.record.PID == 0 && !c.record.Elsewhere {
		return may()
	}
	c.record.Answer = ownership.Answer{Ready: true, Network: e.Network, Address: e.Address}
	if err := c.RecordReady(c.record, may); err != nil {
		return fmt.Errorf("record that launch %v is ready: %w", c.record.Launch, err)
	}
	return nil
}

// mayRecord returns an error if the launch was given up on. Its caller has an error by
// now, and so the pod is to be ended and not to be recorded.
func (n *attempt) mayRecord() error {
	if n.fate.Load() == fateGivenUp {
		return errGivenUp
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
	logFile, _ := os.Stat(p.log.Path)
	if err := p.name.recordReady(e, n.mayRecord); err != nil {
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
		closeLog(p.log)
	}()
	p.probe.close() // last, for it is the probe's: it may hang, or panic
	return pod, nil
}
