package ownership

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"slices"
	"syscall"
	"time"

	"github.com/podlaunch/podlaunch/launcher/internal/unixproc"
)

// mayEnd reports whether those who have the pod lock from the pod of r may be ended.
// state is what Running has said of r.
func (p *Place) mayEnd(r Record, state error) bool {
	switch {
	case errors.Is(state, ErrNoRecord):
		return p.Reclaim == ReclaimAll
	case unixproc.ProvesEnd(state):
		return p.Reclaim != ReclaimNone && r.Ready
	}
	return false
}

// staying returns the holders that stay: they were given the lock for a program, and
// nothing shows that they are about to end, or have ended since the look.
func staying(holders []unixproc.LockHolder) []unixproc.LockHolder {
	return slices.DeleteFunc(slices.Clone(holders), func(h unixproc.LockHolder) bool {
		return !h.Given || h.Ending || h.PID != 0 && unixproc.ProvesEnd(h.Check())
	})
}

func anyGiven(holders []unixproc.LockHolder) bool {
	return slices.ContainsFunc(holders, func(h unixproc.LockHolder) bool { return h.Given })
}

// errStays returns the HeldError about holders who stay. state is what Running has said
// of r.
func errStays(holders []unixproc.LockHolder, state error, r Record) error {
	e := newHeldError(holders, false, nil)
	e.NoRecord = errors.Is(state, ErrNoRecord)
	e.Left = unixproc.ProvesEnd(state) && len(heirs(r.Launcher, holders)) > 0
	return e
}

// A reclaim ends processes, in the course of several looks.
type reclaim struct {
	sent   map[unixproc.Identity]syscall.Signal // the last signal that each was sent
	killAt time.Time                            // when it is to be SIGKILL
}

// end sends those whom the pod of r has left what they are due: its stop signal, and
// SIGKILL once the grace, which began with the first of these, is over.
func (c *reclaim) end(left []unixproc.LockHolder, r Record, grace time.Duration, hurry <-chan struct{}) error {
	if c.sent == nil {
		c.sent, c.killAt = make(map[unixproc.Identity]syscall.Signal), time.Now().Add(grace)
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
		err := unixproc.Signal(h.Identity, sig)
		if sig == stop && err == nil {
			err = unixproc.Signal(h.Identity, unixproc.SIGCONT) // one that is stopped would not notice
		}
		if err != nil && !unixproc.ProvesEnd(err) {
			return fmt.Errorf("end pid %d, which an earlier pod has left behind: %w", h.PID, err)
		}
		c.sent[h.Identity] = sig
	}
	return nil
}

// signalled returns who was sent a signal, in the order of the pids.
func (c *reclaim) signalled() []unixproc.Identity {
	return slices.SortedFunc(maps.Keys(c.sent), func(a, b unixproc.Identity) int { return cmp.Compare(a.PID, b.PID) })
}
