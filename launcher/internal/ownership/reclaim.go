package ownership

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"slices"
	"syscall"
	"time"

	"github.com/podlaunch/podlaunch/launcher/internal/osproc"
)

// mayEnd reports whether those who have the pod lock from the pod of r may be ended.
// state is what Running has said of r.
func (p *Place) mayEnd(r Record, state error) bool {
	switch {
	case errors.Is(state, ErrNoRecord):
		return p.Reclaim == ReclaimAll
	case osproc.ProvesEnd(state):
		return p.Reclaim != ReclaimNone && r.Ready
	}
	return false
}

// staying returns the holders that stay: they were given the lock for a program, and
// nothing shows that they are about to end, or have ended since the look.
func staying(holders []osproc.LockHolder) []osproc.LockHolder {
	return slices.DeleteFunc(slices.Clone(holders), func(h osproc.LockHolder) bool {
		return !h.Given || h.Ending || h.PID != 0 && osproc.ProvesEnd(h.Check())
	})
}

func anyGiven(holders []osproc.LockHolder) bool {
	return slices.ContainsFunc(holders, func(h osproc.LockHolder) bool { return h.Given })
}

// errStays returns the HeldError about holders who stay. state is what Running has said
// of r.
func errStays(holders []osproc.LockHolder, state error, r Record) error {
	e := newHeldError(holders, false, nil)
	e.NoRecord = errors.Is(state, ErrNoRecord)
	e.Left = osproc.ProvesEnd(state) && len(heirs(r.Launcher, holders)) > 0
	return e
}

// A reclaim ends processes, in the course of several looks.
type reclaim struct {
	sent    map[osproc.Identity]syscall.Signal // the last signal that each was sent
	killAt  time.Time                          // when it is to be SIGKILL
	told    func(id osproc.Identity, sig syscall.Signal, at time.Time)
	givenUp <-chan struct{} // closed: nobody is signalled any more
}

// errGivenUp says that a Claim goes on for nobody.
var errGivenUp = errors.New("nobody waits for the name any more")

// end signals the processes that the pod of r has left. It sends each the pod's stop
// signal, and SIGKILL once the grace is over, which began with the first stop signal.
func (c *reclaim) end(left []osproc.LockHolder, r Record, grace time.Duration, hurry <-chan struct{}) error {
	select {
	case <-c.givenUp:
		return errGivenUp
	default:
	}
	if c.sent == nil {
		c.sent, c.killAt = make(map[osproc.Identity]syscall.Signal), time.Now().Add(grace)
	}
	stop := syscall.Signal(r.StopSignal)
	if stop == 0 {
		stop = syscall.SIGTERM
	}
	select {
	case <-hurry:
		c.killAt = time.Time{}
	default:
	}
	sig := stop
	if !time.Now().Before(c.killAt) {
		sig = syscall.SIGKILL
	}
	for _, h := range left {
		if c.sent[h.Identity] == sig {
			continue
		}
		at := time.Now()
		err := osproc.Signal(h.Identity, sig)
		if err == nil && c.told != nil {
			c.told(h.Identity, sig, at)
		}
		if sig == stop && err == nil {
			err = osproc.Signal(h.Identity, osproc.SIGCONT) // a stopped process would not notice
		}
		if err != nil && !osproc.ProvesEnd(err) {
			return fmt.Errorf("end pid %d, which an earlier pod has left behind: %w", h.PID, err)
		}
		c.sent[h.Identity] = sig
	}
	return nil
}

// signalled returns who was sent a signal, in the order of the pids.
func (c *reclaim) signalled() []osproc.Identity {
	return slices.SortedFunc(maps.Keys(c.sent), func(a, b osproc.Identity) int { return cmp.Compare(a.PID, b.PID) })
}
