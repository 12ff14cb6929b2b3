package ownership

import (
	"errors"
	"fmt"
	"os"
	"syscall"
	"time"

	"github.com/podlaunch/podlaunch/launcher/internal/osproc"
)

// killCgroup sends SIGKILL to all that are in the cgroup of r, whose launcher has died.
func killCgroup(r Record) error {
	c, err := cgroupOf(r)
	if err != nil {
		return err
	}
	if err := c.Kill(); err != nil {
		return fmt.Errorf("end what is in the cgroup of a launcher that died: %w", err)
	}
	return nil
}

// cgroupOf returns the cgroup of r; nil if there is none any more. If this program is in there it
// returns a HeldError that says so: to end what is in there would end this program.
func cgroupOf(r Record) (*osproc.Cgroup, error) {
	if r.Cgroup == "" || !r.Launcher.IsOfThisBoot() {
		return nil, nil
	}
	c, err := osproc.FindCgroup(r.Cgroup, r.Launch.String())
	if c == nil || err != nil {
		return nil, err
	}
	self := os.Getpid()
	switch inside, err := osproc.Holds(r.Cgroup, self); {
	case err != nil:
		return nil, fmt.Errorf("find out whether this program is in the cgroup %q: %w", r.Cgroup, err)
	case inside:
		return nil, newHeldError([]osproc.LockHolder{{Identity: osproc.Identity{PID: self}}}, false, nil)
	}
	return c, nil
}

// removeEmpty removes c, which may be nil, if no process is in it. It reports whether the
// cgroup is gone, or returns the processes in it. If a process has just joined, it returns
// neither: left is empty, and removed is false.
func removeEmpty(c *osproc.Cgroup) (left []osproc.Identity, removed bool, err error) {
	left, err = c.Left()
	if len(left) > 0 || err != nil {
		return left, false, err
	}
	err = c.Remove()
	if errors.Is(err, syscall.EBUSY) {
		return nil, false, nil
	}
	return nil, err == nil, err
}

// clearCgroup removes the cgroup of r, whose process is gone for the reason state, once no
// process is in it. It reports whether the cgroup is empty, or returns the processes in it.
// They hold the name, as holders of the pod lock do. clearCgroup ends those of a launch
// that was not ready. It ends others, through c, if Place.Reclaim says so. If patient, the
// caller waits for processes that are about to end, or that cannot be seen.
func (p *Place) clearCgroup(r Record, state error, c *reclaim, patient bool) (left []osproc.LockHolder, empty bool, err error) {
	if r.Cgroup == "" {
		return nil, true, nil
	}
	cgroup, err := cgroupOf(r)
	if errors.Is(state, osproc.ErrElsewhere) && (cgroup == nil || err != nil) {
		return nil, true, nil // its path may lead nowhere here
	}
	if err != nil {
		return nil, false, err
	}
	ids, removed, err := removeEmpty(cgroup)
	if len(ids) == 0 || err != nil {
		return nil, removed, err
	}
	for _, id := range ids {
		if id.PID != 0 && !osproc.IsEnding(id) {
			left = append(left, osproc.LockHolder{Identity: id})
		}
	}
	switch {
	case !r.Ready:
		return left, false, cgroup.Kill()
	case p.mayEnd(r, state):
		return left, false, p.reclaimCgroup(cgroup, left, r, c)
	case len(left) == 0 && patient:
		return nil, false, nil
	}
	e := newHeldError(left, false, nil)
	e.Left = !errors.Is(state, osproc.ErrElsewhere) // the pod may run there
	return left, false, e
}

// reclaimCgroup signals the processes that are left in cgroup, the cgroup of r. If this
// program may not signal a process, the process gets SIGKILL all the same when the grace
// is over.
func (p *Place) reclaimCgroup(cgroup *osproc.Cgroup, left []osproc.LockHolder, r Record, c *reclaim) error {
	if err := c.end(nil, r, p.Grace, p.Hurry); err != nil { // the grace begins, also if nobody is seen
		return err
	}
	for i := range left {
		err := c.end(left[i:i+1], r, p.Grace, p.Hurry)
		if err != nil && !errors.Is(err, os.ErrPermission) {
			return err
		}
	}
	if time.Now().Before(c.killAt) {
		return nil
	}
	return cgroup.Kill()
}
