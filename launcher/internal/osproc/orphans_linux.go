package osproc

import (
	"context"
	"os"
	"unsafe"

	"golang.org/x/sys/unix"
)

// inheritsOrphans reports whether this program becomes the parent of processes
// whose own has died: as PID 1, of a container for instance, or as a child
// subreaper (prctl(2)).
func inheritsOrphans() bool {
	var reaper int32
	err := unix.Prctl(unix.PR_GET_CHILD_SUBREAPER, uintptr(unsafe.Pointer(&reaper)), 0, 0, 0)
	return os.Getpid() == 1 || err == nil && reaper != 0
}

// reapOrphans reaps what we have inherited of a process group whose members were all
// sent SIGKILL. Its leader is a zombie still, and keeps its number from being
// another's. Nobody else is touched: other orphans are the program's to reap.
func reapOrphans(ctx context.Context, pgid int) {
	until(ctx, func() bool { return reapGroupOnce(ctx, pgid) })
}

// reapGroupOnce reports whether nobody of the group is left whom we could
// inherit.
func reapGroupOnce(ctx context.Context, pgid int) bool {
	all, err := censuses.take(ctx, struct{}{})
	if err != nil {
		return true
	}
	isMember := func(st Stat) bool { return st.Group == pgid }
	done := true
	for pid, st := range all[pgid] {
		if pid == pgid {
			continue
		}
		switch {
		case st.Dead() && st.Parent == os.Getpid():
			reapIf(pid, isMember) // else it is seen once more
			done = false
		case !st.Dead():
			done = false
		default:
			// A parent that has left the group may reap it or not; one of the
			// group is about to die, and then it is ours.
			parent, err := ReadStat(st.Parent)
			done = done && (err == nil && parent.Group != pgid)
		}
	}
	return done
}

// ReapInherited reaps the processes, which were sent a signal that ends them, if this
// program becomes their parent, and waits until they have ended, or ctx is done.
func ReapInherited(ctx context.Context, ids []Identity) {
	if len(ids) == 0 || !inheritsOrphans() {
		return
	}
	for _, id := range ids {
		until(ctx, func() bool {
			return reapIf(id.PID, func(Stat) bool {
				start, _, err := lifeOf(id.PID)
				return err == nil && start == id.Start
			})
		})
	}
}
