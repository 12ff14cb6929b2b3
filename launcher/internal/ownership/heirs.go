package ownership

import (
	"context"
	"fmt"
	"os"
	"slices"
	"sync/atomic"
	"time"

	"github.com/podlaunch/podlaunch/launcher/internal/unixproc"
)

// look returns who holds the lock of the file that is called name, or was, and has
// the inode number.
func (p *Place) look(ctx context.Context, name string, inode uint64) ([]unixproc.LockHolder, error) {
	ctx, cancel := lookingTime(ctx)
	defer cancel()
	holders, err := unixproc.LockHolders(ctx, p.path(name), inode)
	if err != nil {
		return nil, fmt.Errorf("find out who holds the name: %w", err)
	}
	return holders, nil
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
// time, has a copy that is closed on exec, whether it comes to its exec or not.
//
// A pod has a session of its own before its program runs, and no process can join
// the session of another. So who is in the launcher's session is no pod.
func (by Owner) isHeir(h unixproc.LockHolder) bool {
	switch {
	case !h.Given || h.Took() || isOurs(h.PID):
		return false
	case by.PID == 0: // a record of before version 3 does not name its launcher
		return true
	case by.Boot != h.Boot || by.PIDNamespace != h.PIDNamespace:
		return false
	}
	// The kernel tells no taker that has ended, in a pid namespace.
	return h.Session != by.Session && (h.Taker == by.PID || h.Taker == 0)
}

// endHeirs sends SIGKILL to those holders that are of the launch by launcher, and
// returns them.
func (by Owner) endHeirs(holders []unixproc.LockHolder) (ended []unixproc.Identity, err error) {
	for _, h := range holders {
		if !by.isHeir(h) {
			continue
		}
		switch err := unixproc.Kill(h.Identity); {
		case err == nil:
			ended = append(ended, h.Identity)
		case !unixproc.ProvesEnd(err):
			return ended, fmt.Errorf("end pid %d, which was left behind: %w", h.PID, err)
		}
	}
	return ended, nil
}

// heirs are those of the holders that are of the launch by launcher.
func heirs(by Owner, holders []unixproc.LockHolder) []unixproc.LockHolder {
	return slices.DeleteFunc(slices.Clone(holders), func(h unixproc.LockHolder) bool { return !by.isHeir(h) })
}

// Heirs are those who have the lock of a pod from it.
type Heirs struct {
	path  string // of the lock; "": there is none
	inode uint64
	by    Owner
}

// Heirs returns those of the pod of r, which runs.
func (p *Place) Heirs(r Record) Heirs {
	there, err := p.base.lstat(p.podName())
	if err != nil {
		return Heirs{} // there is no lock that anybody could have
	}
	return Heirs{p.path(p.podName()), there.ino, r.Launcher}
}

// Find returns who they are, as long as the pod lives: once it does not, the lock may
// be another's. It reads /proc alone.
func (h Heirs) Find(ctx context.Context) (ids []unixproc.Identity, err error) {
	if h.path == "" {
		return nil, nil
	}
	holders, err := unixproc.LockHolders(ctx, h.path, h.inode)
	for _, holder := range heirs(h.by, holders) {
		ids = append(ids, holder.Identity)
	}
	return ids, err
}

// addNew adds to ids those of more that are not among them.
func addNew(ids, more []unixproc.Identity) []unixproc.Identity {
	for _, id := range more {
		if !slices.Contains(ids, id) {
			ids = append(ids, id)
		}
	}
	return ids
}

// isOurs reports whether pid is of this program, of its parent, or of a process whose
// group or session it is in: to end that one would end this program.
func isOurs(pid int) bool {
	return pid == os.Getpid() || pid == os.Getppid() || pid == groupOf() || pid == sessionOf()
}

// known is this program, once it could be identified.
var known atomic.Pointer[Owner]

// self returns this program as a launcher.
func self() (Owner, error) {
	owner := known.Load()
	if owner == nil {
		found, err := unixproc.Identify(os.Getpid())
		if err != nil {
			return Owner{}, fmt.Errorf("identify this program, pid %d: %w", os.Getpid(), err)
		}
		owner = &Owner{found, sessionOf()}
		known.Store(owner)
	}
	return *owner, nil
}

// newHeldError returns a HeldError that names the holders.
func newHeldError(holders []unixproc.LockHolder, launching bool, err error) *HeldError {
	e := &HeldError{Launching: launching, Err: err}
	if launching {
		return e
	}
	for _, h := range holders {
		e.Holders = append(e.Holders, h.PID)
	}
	slices.Sort(e.Holders)
	for _, pid := range e.Holders {
		e.Commands = append(e.Commands, unixproc.CommandName(pid))
	}
	return e
}
