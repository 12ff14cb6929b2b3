package ownership

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/podlaunch/podlaunch/launcher/internal/unixproc"
)

// settlingTime is how long a holder must be seen as such before it is taken for a
// leftover. A child that some program has just forked holds copies of everything
// until its exec, and is none of our business. It gets there within a few
// milliseconds, and on a busy machine when there is a processor for it. After its
// exec it is looked at afresh: the kernel says so a moment before it closes what
// is not to be inherited (fs/exec.c, begin_new_exec).
func settlingTime(h unixproc.LockHolder) time.Duration {
	if h.Forked {
		return time.Second // less than a failed launch takes for its clearing up
	}
	return 100 * time.Millisecond
}

// leftovers are the processes that were seen to hold the pod lock. The zero value
// has seen nobody.
type leftovers struct {
	seen   map[unixproc.LockHolder]span // those that held it at the last look
	killed []int                        // pids of those that were sent SIGKILL
}

// A span is the time between two looks: from the end of the first to the
// beginning of the last, so that it is never too long, however long a look takes.
type span struct{ from, to time.Time }

// look notes who holds the lock of p now.
func (l *leftovers) look(p *Place) error {
	began := time.Now()
	now, err := p.holders()
	if err != nil {
		return fmt.Errorf("find out who holds the name: %w", err)
	}
	l.note(began, now, time.Now())
	return nil
}

// note notes what a look has found, and from when to when that took.
func (l *leftovers) note(began time.Time, now []unixproc.LockHolder, ended time.Time) {
	before := l.seen
	l.seen = make(map[unixproc.LockHolder]span)
	for _, h := range now {
		s, ok := before[h]
		if !ok {
			s.from = ended
		}
		s.to = began
		l.seen[h] = s
	}
}

// settled are those who were seen for long enough.
func (l *leftovers) settled() (found []unixproc.Identity) {
	for h, s := range l.seen {
		if s.to.Sub(s.from) >= settlingTime(h) {
			found = append(found, h.Identity)
		}
	}
	return found
}

// end sends SIGKILL to those who have held the lock of p for a while.
func (l *leftovers) end(p *Place) error {
	for _, id := range l.settled() {
		if !p.holds(id) {
			continue
		}
		switch err := unixproc.Kill(id); {
		case err == nil:
			if !slices.Contains(l.killed, id.PID) {
				l.killed = append(l.killed, id.PID)
			}
		case !errors.Is(err, unixproc.ErrGone):
			return fmt.Errorf("end pid %d, which was left behind: %w", id.PID, err)
		}
	}
	return nil
}

func (l *leftovers) pids() []int {
	var pids []int
	for h := range l.seen {
		pids = append(pids, h.PID)
	}
	slices.Sort(pids)
	return pids
}
