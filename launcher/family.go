package launcher

import (
	"context"
	"errors"
	"os"
	"slices"

	"github.com/podlaunch/podlaunch/launcher/internal/osproc"
	"github.com/podlaunch/podlaunch/launcher/internal/ownership"
)

// launchVariable is in the environment of each pod, with the id of its launch. What the
// pod starts inherits it, and so can be found, wherever it goes.
const launchVariable = ownership.LaunchVariable

// A family is who belongs to a Pod, in the hands of the one who uses it. Those of a pod
// with a cgroup of its own are who is in there; else they are looked for.
type family struct {
	proc    Process
	first   osproc.Identity // of proc; zero if it was gone before anybody could tell
	who     *osproc.Family  // nil if that cannot be told here; of a cgroup, it remembers who was seen
	cgroup  *osproc.Cgroup  // nil: it has none
	emptied <-chan struct{} // closed once nobody is in the cgroup; nil if there is none
}

// pinned reports whether the number of the group is the pod's own for now.
func (f family) pinned() bool {
	if c, ours := f.proc.(child); ours {
		return c.GroupPinned()
	}
	return f.first.PID != 0 && f.first.Check() == nil
}

// known reports whether it can be told who belongs to the pod.
func (f family) known() bool { return f.who != nil || f.cgroup != nil }

// left returns who belongs to the pod and has not ended.
func (f family) left() ([]osproc.Identity, error) {
	switch {
	case f.cgroup != nil:
		left, err := f.cgroup.Left()
		if f.who != nil {
			f.who.Add(slices.DeleteFunc(slices.Clone(left), isHidden))
		}
		return left, err
	case f.who == nil:
		return nil, nil
	}
	return f.who.Left(context.Background(), f.pinned())
}

// deserted reports whether it is proven that nobody is left, and that none who cannot be told
// has got away. The first process has ended, and has not been reaped.
func (f family) deserted(ctx context.Context) (bool, error) {
	switch {
	case f.cgroup != nil:
		left, err := f.left()
		return err == nil && len(left) == 0, err
	case f.who == nil:
		return false, nil
	}
	return f.who.Deserted(ctx, f.pinned())
}

// isHidden reports whether id stands for who is in a cgroup and cannot be seen from here.
func isHidden(id osproc.Identity) bool { return id.PID == 0 }

// split is left, in two: those whom a signal to the group of the first process reaches, and
// the others.
func (f family) split() (group, others []osproc.Identity, err error) {
	left, err := f.left()
	for _, id := range left {
		if f.pinned() && osproc.IsInGroup(id, f.proc.PID()) {
			group = append(group, id)
		} else {
			others = append(others, id)
		}
	}
	return group, others, err
}

// reap reaps those of them, all of whom have ended, whose parent this program became. The
// cgroup, in which nobody is left, is removed.
func (f family) reap() {
	if c, ours := f.proc.(child); ours {
		c.removeCgroup()
	}
	if f.who == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), killPatience)
	defer cancel()
	f.who.ReapInherited(ctx)
}

// kill sends SIGKILL to all who belong, and returns them.
func (f family) kill() ([]osproc.Identity, error) {
	switch {
	case f.cgroup != nil:
		left, err := f.left()
		if err != nil || len(left) == 0 {
			return nil, err
		}
		return left, f.cgroup.Kill()
	case f.who == nil:
		return nil, nil
	}
	return f.who.Kill(context.Background(), f.pinned())
}

// passes reports whether err, of a signal to one of them, keeps nobody from being ended:
// this program has not the right to signal that one, but the cgroup ends him all the same.
// Nor does it that a process cannot be asked to end: it has its grace, and gets SIGKILL.
func (f family) passes(err error) bool {
	return errors.Is(err, osproc.ErrUngentle) || f.cgroup != nil && errors.Is(err, os.ErrPermission)
}
