package keeper

import (
	"context"
	"time"

	"github.com/podlaunch/podlaunch/launcher/internal/osproc"
)

// A kept is a pod that is kept.
type kept struct {
	Pod
	family *osproc.Family
	gone   bool // it has no first process any more
}

func newKept(p Pod) *kept {
	k := &kept{Pod: p, family: osproc.NewFamily(p.First, p.Mark)}
	k.family.SetLock(p.Lock, p.LockFD)
	if p.Since.PID != 0 {
		k.family.SetSince(p.Since, true)
	}
	k.family.Add(p.Others)
	return k
}

// isEmpty reports whether no process is left of a pod. If patient, it gives processes that are
// about to end a moment. It reports false if it cannot tell.
func (p *kept) isEmpty(patient bool) bool {
	for delay := time.Millisecond; ; delay *= 2 {
		p.addHeirs()
		left, err := p.family.Left(context.Background(), osproc.IsThere(p.First))
		if err == nil && len(left) == 0 {
			left, err = p.inCgroup()
		}
		if err == nil && len(left) == 0 {
			return true
		}
		if err != nil || !patient || delay > 8*time.Millisecond {
			return false
		}
		time.Sleep(delay)
	}
}

// inCgroup returns the processes in the pod's cgroup, if it has one.
func (p *kept) inCgroup() ([]osproc.Identity, error) {
	cgroup, err := p.cgroup()
	if err != nil {
		return nil, err
	}
	return cgroup.Left()
}

// cgroup returns the pod's cgroup; nil if it has none, or none any more.
func (p *kept) cgroup() (*osproc.Cgroup, error) {
	if p.Cgroup == "" {
		return nil, nil
	}
	return osproc.FindCgroup(p.Cgroup, p.ID)
}

// addHeirs adds the processes that have the pod's lock from the pod. As long as the
// launcher lives, or outside of a pid namespace, the kernel names the launcher as the
// process that took the lock. Once the first process has ended, the lock may be that of a
// later pod, of the same launcher too.
func (p *kept) addHeirs() {
	if p.Lock.Path == "" {
		return
	}
	lives := p.First.PID != 0 && p.First.Check() == nil
	holders, err := osproc.LockHolders(context.Background(), p.Lock)
	if err != nil {
		return // the mark is left to find them by
	}
	lives = lives && p.First.Check() == nil
	begins := p.First.PID == 0 && !p.gone // who is first is not known yet
	var heirs []osproc.Identity
	for _, h := range holders {
		if h.Given && !h.Took() && h.Session != p.Session && (lives && (h.Taker == p.Launcher || h.Taker == 0) || begins && h.Taker == p.Launcher) {
			heirs = append(heirs, h.Identity)
		}
	}
	p.family.Add(heirs)
}
