package launcher

import (
	"context"

	"github.com/podlaunch/podlaunch/launcher/internal/unixproc"
)

// launchVariable is in the environment of each pod, with the id of its launch. What the
// pod starts inherits it, and so can be found, wherever it goes.
const launchVariable = "POD_LAUNCH_ID"

// A family is who belongs to a Pod, in the hands of the one who uses it.
type family struct {
	proc  Process
	first unixproc.Identity // of proc; zero if it was gone before anybody could tell
	who   *unixproc.Family  // nil if that cannot be told here
}

// pinned reports whether the number of the group is the pod's own for now.
func (f family) pinned() bool {
	if c, ours := f.proc.(child); ours {
		return c.Pinned()
	}
	return f.first.PID != 0 && f.first.Check() == nil
}

// left returns who belongs to the pod and has not ended.
func (f family) left() ([]unixproc.Identity, error) {
	if f.who == nil {
		return nil, nil
	}
	return f.who.Left(context.Background(), f.pinned())
}

// others is left without those whom a signal to the group of the first process reaches.
func (f family) others() ([]unixproc.Identity, error) {
	left, err := f.left()
	var others []unixproc.Identity
	for _, id := range left {
		if !f.pinned() || !unixproc.IsInGroup(id, f.proc.PID()) {
			others = append(others, id)
		}
	}
	return others, err
}

// reap reaps those of them, all of whom have ended, whose parent this program became.
func (f family) reap() {
	if f.who == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), killPatience)
	defer cancel()
	f.who.ReapInherited(ctx)
}

// kill sends SIGKILL to all who belong, and returns them.
func (f family) kill() ([]unixproc.Identity, error) {
	if f.who == nil {
		return nil, nil
	}
	return f.who.Kill(context.Background(), f.pinned())
}
