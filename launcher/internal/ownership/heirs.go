package ownership

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/google/uuid"

	"github.com/podlaunch/podlaunch/launcher/internal/osproc"
)

// LaunchVariable is in the environment of each pod, with the id of its launch. What the
// pod starts inherits it.
const LaunchVariable = "POD_LAUNCH_ID"

// lockFile returns the lock that is or was called name, and is of the file of s.
func (p *Place) lockFile(name string, s status) osproc.LockFile {
	return osproc.LockFile{Path: p.path(name), Dev: s.dev, Inode: s.ino}
}

// look returns the processes that hold a lock. launch is the launch whose pods may hold it;
// uuid.Nil: not known.
func (p *Place) look(ctx context.Context, lock osproc.LockFile, launch uuid.UUID) ([]osproc.LockHolder, error) {
	ctx, cancel := lookingTime(ctx)
	defer cancel()
	holders, err := osproc.LockHolders(ctx, lock)
	if err != nil {
		return nil, fmt.Errorf("find out who holds the name: %w", err)
	}
	giveMarked(holders, launch)
	if launch != uuid.Nil {
		return addMarked(holders, launch)
	}
	return holders, nil
}

// addMarked adds to holders those who are found by the mark of the launch, where the system
// does not show who holds a lock. They have it, or keep somebody alive who does.
func addMarked(holders []osproc.LockHolder, launch uuid.UUID) ([]osproc.LockHolder, error) {
	marked, err := osproc.MarkHolders(LaunchVariable + "=" + launch.String())
	if err != nil {
		return nil, fmt.Errorf("find out who holds the name: %w", err)
	}
	return append(holders, marked...), nil
}

// giveMarked sets Marked and Given of the holders that have the launch's id in their
// environment. A pod may mark its descriptors as closed on exec, and then looks like a child of
// its launcher that has not come to its exec. Such a child has the environment of the launcher.
func giveMarked(holders []osproc.LockHolder, launch uuid.UUID) {
	if launch == uuid.Nil {
		return
	}
	for i := range holders {
		h := &holders[i]
		if osproc.HasVariable(h.PID, LaunchVariable, launch.String()) {
			h.Marked = h.Check() == nil // it was about this process
			h.Given = h.Given || h.Marked
		}
	}
}

// while is how long a look may take once there is no time left.
var while = 200 * time.Millisecond

// lookingTime returns a context that ends a while after ctx: to name the holders in
// an error takes a look, even if there is no time left.
func lookingTime(ctx context.Context) (context.Context, context.CancelFunc) {
	looking, cancel := context.WithCancelCause(context.WithoutCancel(ctx))
	stop := context.AfterFunc(ctx, func() {
		time.AfterFunc(while, func() { cancel(context.Cause(ctx)) })
	})
	return looking, func() {
		stop()
		cancel(nil)
	}
}

// isHeir reports whether h is proven to be of the launch whose launcher was by: its
// pod, or a process that the pod has started. Two things prove it, and neither rests
// on time.
//
// A process that holds the pod lock on a descriptor that stays open on exec has it
// from the start of a pod. Any other child that the launcher forked, at the same
// time, has a copy that is closed on exec, whether it comes to its exec or not. The same
// is proven by the launch's id in the environment that it was executed with: giveMarked.
//
// A pod has a session of its own before its program runs, and no process can join
// the session of another. So no process in the launcher's session is a pod, unless it has the
// launch's id: a Starter may leave its pods in that session.
func (by Owner) isHeir(h osproc.LockHolder) bool {
	switch {
	case !h.Given || h.Took() || isOurs(h.PID):
		return false
	case by.PID == 0: // a record of before version 3 does not name its launcher
		return true
	case by.Boot != h.Boot || by.PIDNamespace != h.PIDNamespace:
		return false
	}
	// The kernel tells no taker that has ended, in a pid namespace.
	return (h.Marked || h.Session != by.Session) && (h.Taker == by.PID || h.Taker == 0)
}

// endHeirs sends SIGKILL to those holders that are of the launch by launcher, and
// returns them.
func (by Owner) endHeirs(holders []osproc.LockHolder) (ended []osproc.Identity, err error) {
	for _, h := range holders {
		if !by.isHeir(h) {
			continue
		}
		switch err := osproc.Kill(h.Identity); {
		case err == nil:
			ended = append(ended, h.Identity)
		case !osproc.ProvesEnd(err):
			return ended, fmt.Errorf("end pid %d, which was left behind: %w", h.PID, err)
		}
	}
	return ended, nil
}

// heirs are those of the holders that are of the launch by launcher.
func heirs(by Owner, holders []osproc.LockHolder) []osproc.LockHolder {
	return slices.DeleteFunc(slices.Clone(holders), func(h osproc.LockHolder) bool { return !by.isHeir(h) })
}

// Heirs are those who have the lock of a pod from it.
type Heirs struct {
	lock osproc.LockFile // zero: there is none
	by   Owner
}

// Heirs returns those of the pod of r, which runs.
func (p *Place) Heirs(r Record) Heirs {
	there, err := p.base.lstat(p.podName())
	if err != nil {
		return Heirs{} // there is no lock that anybody could have
	}
	return Heirs{p.lockFile(p.podName(), there), r.Launcher}
}

// Lock returns the lock that they have, zero if there is none, and the launcher of the pod.
func (h Heirs) Lock() (osproc.LockFile, Owner) { return h.lock, h.by }

// Has reports whether a process that holds the lock, and has not the mark of the launch, is one
// of them, as long as the pod lives: after its end the lock may be another pod's.
func (h Heirs) Has(holder osproc.LockHolder) bool { return h.by.isHeir(holder) }

// addNew adds to ids those of more that are not among them.
func addNew(ids, more []osproc.Identity) []osproc.Identity {
	for _, id := range more {
		if !slices.Contains(ids, id) {
			ids = append(ids, id)
		}
	}
	return ids
}

// isOurs reports whether pid is of this program, of its parent, the parent of that, and so on, or
// of a process whose group or session it is in: to end that one would end this program, or
// the program that waits for it. What cannot be told may be ours.
func isOurs(pid int) bool {
	if pid == 0 {
		return false
	}
	above, err := osproc.Lineage()
	return err != nil || above[pid] || pid == groupOf() || pid == sessionOf()
}

// newHeldError returns a HeldError that names the holders.
func newHeldError(holders []osproc.LockHolder, launching bool, err error) *HeldError {
	e := &HeldError{Launching: launching, Err: err}
	if launching {
		return e
	}
	for _, h := range holders {
		e.Holders = append(e.Holders, h.PID)
	}
	slices.Sort(e.Holders)
	for _, pid := range e.Holders {
		name := osproc.CommandName(pid)
		if isOurs(pid) {
			name += ", which is this program or has started it"
		}
		e.Commands = append(e.Commands, name)
	}
	return e
}
