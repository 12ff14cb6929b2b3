package launcher

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"time"

	"github.com/google/uuid"

	"github.com/podlaunch/podlaunch/launcher/internal/ownership"
)

// Stop ends what holds the name. If the pod runs, Stop ends it as [Pod.Stop] does. If a
// pod that is gone has left processes behind, they get the pod's stop signal and, after
// Launcher.Grace, SIGKILL: those that hold the name, and those that have the id of the launch
// in their environment, the latter not with [KillFirst]. The same goes for what is left of a
// launch whose launcher has died. Stop returns nil once the name is free, or if it is free
// already. If a launch of the name is under way, Stop waits for it first.
//
// If the record of the pod is missing, Stop ends the processes that have inherited the
// pod's lock, by SIGTERM first: they are the pod, or descend from it. It signals no other
// process.
//
// ctx bounds Stop; Launcher.Timeout does not. Stop fails with an [*Error] of [StageOwn].
// The error wraps context.Cause(ctx) if there was no more time; signals sent by then stay
// sent. It wraps [ErrHeld], with their pids, if processes hold the name that are not
// proven to be of the pod. Any other error means that Stop cannot find out who the pod
// is; then it has signalled no process.
func (l *Launcher) Stop(ctx context.Context, name string) error {
	return l.end(ctx, opStop, name)
}

// Remove is [Launcher.Stop], and then removes all that is kept of the name: the
// runtime directory with the log in it, the record, and the locks. Afterwards nothing
// tells that there ever was such a pod. A log that is not in the runtime directory is
// its source's to remove.
//
// What is on another filesystem, mounted in the runtime directory, is not removed: that
// is an error, and nothing is removed. If somebody has launched the pod again
// meanwhile, Remove fails with [ErrRunning], and removes nothing.
func (l *Launcher) Remove(ctx context.Context, name string) error {
	return l.end(ctx, opRemove, name)
}

// end is Stop or Remove.
func (l *Launcher) end(ctx context.Context, op, name string) error {
	n := newLaunch(l, op, Spec{Name: name})
	if err := n.checkAsked(); err != nil {
		return n.logged(err)
	}
	if ctx.Err() != nil {
		return n.logged(n.failure(StageOwn, n.whyOver(ctx)))
	}
	if _, err := n.guarded(ctx, func(ctx context.Context) (*Pod, error) { return nil, n.free(ctx) }); err != nil {
		return n.logged(err)
	}
	n.log.Info("the name is free", "op", op)
	return nil
}

// free stops who has the name, and does what n.op says once it is free.
func (n *attempt) free(ctx context.Context) error {
	at, err := n.site(ctx, n.spec.Name)
	if err != nil {
		return err
	}
	var stopped uuid.UUID // the launch of the pod that was stopped
	looked := false       // at who was left of it
	delay := time.Millisecond
	for {
		claim, err := n.claimKept(ctx, at.base, !looked)
		var running *ownership.RunningError
		switch {
		case err == nil && claim == nil:
			return nil // there never was such a pod
		case err == nil && n.op == opRemove:
			return n.removeKept(ctx, claim)
		case err == nil:
			claim.Free()
			return nil
		case !errors.As(err, &running):
			return n.refused(ctx, err)
		case stopped != uuid.Nil && running.Record.Launch != stopped:
			// The name was free, and another pod has it by now.
			if n.op == opStop {
				return nil
			}
			return n.refused(ctx, err)
		case stopped != uuid.Nil: // an engine may know the process for a moment after its end
			if _, over := receive(ctx.Done(), delay); over {
				return fmt.Errorf("it was stopped, and is not known to be gone yet: %w", n.whyOver(ctx))
			}
			delay = min(2*delay, 50*time.Millisecond)
		}
		stopped = running.Record.Launch
		if looked, err = n.stopRecorded(ctx, at.base, running.Record); err != nil {
			return err
		}
	}
}

// claimKept takes the name for its end, and ends what a gone pod has left behind; if marked, also
// those who do not hold the name. It returns nil if nothing is known of the name.
func (n *attempt) claimKept(ctx context.Context, base string, marked bool) (*ownership.Claim, error) {
	place, err := n.placeBelow(ctx, base, n.spec.Name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	if known, err := place.Exists(); !known || err != nil {
		place.Close()
		return nil, err
	}
	place.Reclaim, place.Grace, place.KeepRecord = ownership.ReclaimAll, n.Grace, true
	place.EndMarked = func(r ownership.Record) bool { return marked && KillMode(r.KillMode) != KillFirst }
	return n.claimPlace(ctx, place)
}

// stopRecorded stops the pod of r. It reports whether it has looked at who is left of the pod: not
// if that has ended meanwhile.
func (n *attempt) stopRecorded(ctx context.Context, base string, r ownership.Record) (looked bool, err error) {
	n.note(func(e *Error) { e.PID, e.LogPath = r.PID, r.Log })
	place, err := n.placeBelow(ctx, base, n.spec.Name)
	if err != nil {
		return false, err
	}
	defer place.Close()
	pod, err := n.adopt(ctx, place, r)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	defer pod.Release()
	return true, pod.stop(ctx, false)
}

// removeKept removes what is kept of the name, which claim has.
func (n *attempt) removeKept(ctx context.Context, claim *ownership.Claim) (err error) {
	known := false
	defer func() {
		if !known { // also if the Resolver panics
			claim.Free()
		}
	}()
	dir := claim.Dir()
	if dir == "" { // the record is missing: only the Resolver knows
		if dir, err = n.makeDir(ctx, n.spec.Name); err != nil {
			return err
		}
	}
	known = true
	return claim.Remove(ctx, dir)
}
