package ownership

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/podlaunch/podlaunch/launcher/internal/proc"
)

// settle is how long a process must be seen to hold the pod lock before it is
// taken for a leftover. A child that some program has just forked holds copies
// of everything until it comes to its exec, within a few milliseconds, and is
// none of our business.
const settle = 100 * time.Millisecond

// leftovers are the processes that were seen to hold the pod lock.
type leftovers struct {
	since  map[proc.Identity]time.Time // of those that held it at the last look
	killed []int                       // pids of those that were sent SIGKILL
}

// see notes who holds the lock now.
func (l *leftovers) see(now []proc.Identity) {
	before := l.since
	l.since = make(map[proc.Identity]time.Time)
	for _, id := range now {
		first, ok := before[id]
		if !ok {
			first = time.Now()
		}
		l.since[id] = first
	}
}

// end sends SIGKILL to those who have held the lock for a while.
func (l *leftovers) end(p *Place) error {
	for id, since := range l.since {
		if time.Since(since) < settle || !p.holds(id) {
			continue
		}
		switch err := endProcess(id); {
		case err == nil:
			if !slices.Contains(l.killed, id.PID) {
				l.killed = append(l.killed, id.PID)
			}
		case !errors.Is(err, proc.ErrGone):
			return fmt.Errorf("end pid %d, which was left behind: %w", id.PID, err)
		}
	}
	return nil
}

func (l *leftovers) pids() []int {
	var pids []int
	for id := range l.since {
		pids = append(pids, id.PID)
	}
	slices.Sort(pids)
	return pids
}
