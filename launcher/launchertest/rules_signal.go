package launchertest

import (
	"context"
	"errors"
	"fmt"
	"os"
	"syscall"
	"time"

	"github.com/podlaunch/podlaunch/launcher"
	"github.com/podlaunch/podlaunch/runtimedir/conformance"
)

// waitSpares waits as the launcher does: with a ctx that ends, and with a ctx that is
// already done, which the launcher does after every launch.
func waitSpares(s *starting, r *running) error {
	ctx, cancel := context.WithCancelCause(context.Background())
	waiting := r.waiting(ctx)
	cancel(conformance.ErrStopped)
	<-waiting
	<-r.waiting(conformance.Stopped())
	select {
	case w := <-r.waiting(context.Background()):
		if w.err != nil {
			return nil // for another rule
		}
		return fmt.Errorf("the ctx of two calls of Wait was done, nobody has signalled the process, and now it has ended: %v", w.exit)
	case <-time.After(moment):
		return nil
	}
}

// deaf starts a process that goes on after the signal.
func (s *starting) deaf() (*running, os.Signal, error) {
	if s.Lacks&(Programs|Output) != 0 {
		r, err := s.start(forever, nil)
		return r, sigCont, err
	}
	r, _, err := s.said("trap '' TERM; echo ready; exec sleep 60", nil)
	return r, syscall.SIGTERM, err
}

func signalReturns(s *starting) error {
	r, sig, err := s.deaf()
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancelCause(context.Background())
	defer cancel(nil)
	first := conformance.Go("Signal", func() { r.Signal(ctx, sig) })
	first.Within(moment)
	second := conformance.Go("Signal", func() { r.Signal(conformance.Stopped(), sig) })
	if err := second.Join(soon); err != nil {
		return fmt.Errorf("after %v, which does not end the process, was sent with another ctx, this ctx is done: %w", sig, err)
	}
	cancel(conformance.ErrStopped)
	if err := first.Join(soon); err != nil {
		return fmt.Errorf("%v does not end the process, and ctx is done: %w", sig, err)
	}
	return nil
}

// counts is a script that says, when it reads a line, how many SIGTERM it has got.
const counts = `n=0; trap 'n=$((n+1))' TERM; echo ready; read line <&3; echo $n`

func signalOver(s *starting) error {
	for _, over := range []struct {
		how, script string
		end         func(r *running) (ok bool, err error)
	}{
		// The leader has ended, and another process still has the group's number.
		{"Reap", "(" + counts + ") & exit 0", func(r *running) (bool, error) {
			if _, err := r.wait(); err != nil {
				return false, err
			}
			_, ok := r.Process.(launcher.Reaper)
			return ok, r.reap()
		}},
		{"Release", counts, func(r *running) (bool, error) {
			releaser, ok := r.Process.(launcher.Releaser)
			if ok {
				releaser.Release()
				r.reaped = true
			}
			return ok, nil
		}},
	} {
		if err := s.silentAfter(over.how, over.script, over.end); err != nil {
			return err
		}
	}
	return nil
}

// silentAfter makes sure that a process, which has the script, gets no signal after end.
func (s *starting) silentAfter(how, script string, end func(r *running) (bool, error)) error {
	theirs, ours, err := s.pipe()
	if err != nil {
		return err
	}
	r, out, err := s.said(script, func(req *launcher.StartRequest) { req.Files = []*os.File{theirs} })
	if err != nil {
		return err
	}
	if r.PID() == 0 {
		return conformance.Inapplicable("the process has no id on this machine, which could become another's")
	}
	if ok, err := end(r); err != nil || !ok {
		return err
	}
	for range 3 {
		r.Signal(context.Background(), syscall.SIGTERM) // what it returns is for another rule
	}
	if _, err := ours.WriteString("how many?\n"); err != nil {
		return err
	}
	if got, err := line(out); err == nil && got != "0" { // an error: it has ended with its leader
		return fmt.Errorf("after %s Signal was called 3 times, and a process with the number of the group has got it %s times", how, got)
	}
	return nil
}

// crowd is a script of a group whose processes need a moment to go. They end with the
// rule, if no signal has reached them before.
const crowd = "for i in 1 2 3 4 5 6 7 8; do cat <&3 & done; echo ready; wait"

func reapWaits(s *starting) error {
	theirs, _, err := s.pipe()
	if err != nil {
		return err
	}
	const tries = 10 // a group may be quick
	for range tries {
		left, err := s.leftByReap(theirs)
		if err != nil {
			return err
		}
		if !isWritten(left) { // a process that is gone has closed its stdout
			continue
		}
		if conformance.Eventually(soon, func() bool { return !isWritten(left) }) {
			return errors.New("SIGKILL was sent and Reap returned without an error, when a process of the group was still there")
		}
		return nil // it has got no SIGKILL, which is for another rule
	}
	return nil
}

// leftByReap starts a crowd, kills and reaps it, and returns its stdout.
func (s *starting) leftByReap(stdin *os.File) (out *os.File, err error) {
	r, out, err := s.said(crowd, func(req *launcher.StartRequest) { req.Files = []*os.File{stdin} })
	if err != nil {
		return nil, err
	}
	if _, ok := r.Process.(launcher.Reaper); !ok {
		return nil, conformance.Inapplicable("the Process is no Reaper")
	}
	if err := r.Signal(context.Background(), syscall.SIGKILL); err != nil {
		return nil, fmt.Errorf("SIGKILL: %w", err)
	}
	if _, err := r.wait(); err != nil {
		return nil, err
	}
	return out, r.reap()
}
