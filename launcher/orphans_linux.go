package launcher

import (
	"context"
	"errors"
	"os"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/podlaunch/podlaunch/launcher/internal/proc"
)

// inheritsOrphans reports whether this program becomes the parent of processes
// whose own has died: as PID 1, of a container for instance, or as a child
// subreaper (prctl(2)).
func inheritsOrphans() bool {
	var reaper int32
	err := unix.Prctl(unix.PR_GET_CHILD_SUBREAPER, uintptr(unsafe.Pointer(&reaper)), 0, 0, 0)
	return os.Getpid() == 1 || err == nil && reaper != 0
}

// reapOrphans reaps what we have inherited of a process group, all of which was
// sent SIGKILL. Its leader is a zombie still, and keeps its number from being
// another's. Nobody else is touched: other orphans are the program's to reap.
func reapOrphans(ctx context.Context, pgid int) {
	for delay := 100 * time.Microsecond; ; delay = min(2*delay, 20*time.Millisecond) {
		if reapGroupOnce(pgid) || !sleep(ctx, delay) {
			return
		}
	}
}

// reapGroupOnce reports whether nobody of the group is left whom we could
// inherit.
func reapGroupOnce(pgid int) bool {
	pids, err := proc.All()
	if err != nil {
		return true
	}
	done := true
	for _, pid := range pids {
		st, err := proc.ReadStat(pid)
		if err != nil || st.Group != pgid || pid == pgid {
			continue
		}
		switch {
		case st.Dead() && st.Parent == os.Getpid():
			_, _ = unix.Wait4(pid, nil, unix.WNOHANG, nil) // else it is seen once more
			done = false
		case !st.Dead():
			done = false
		default:
			// A parent that has left the group may reap it or not; one of the
			// group is about to die, and then it is ours.
			parent, err := proc.ReadStat(st.Parent)
			done = done && (err == nil && parent.Group != pgid)
		}
	}
	return done
}

// reapEnded reaps the processes that were sent SIGKILL, if they are ours by now.
func reapEnded(ctx context.Context, pids []int) {
	if len(pids) == 0 || !inheritsOrphans() {
		return
	}
	for _, pid := range pids {
		for delay := 100 * time.Microsecond; ; delay = min(2*delay, 20*time.Millisecond) {
			got, err := unix.Wait4(pid, nil, unix.WNOHANG, nil)
			if got == pid || err != nil && !errors.Is(err, unix.EINTR) || !sleep(ctx, delay) {
				break
			}
		}
	}
}

// sleep waits for d, and reports whether ctx is still good.
func sleep(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}
