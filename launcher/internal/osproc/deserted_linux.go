package osproc

import (
	"context"
	"os"
)

// Deserted reports whether it is proven that no process of the family is left, and that none
// has got away. Left finds no process that has left its session, and lost its lock and its
// mark. But such a process has lost its parent, too, and so is a child of this program, of an
// ancestor of it, or of pid 1. Deserted reports false if there is any such process that may
// come from the family. pinned is as for Left. The first process has ended, and has not been
// reaped.
func (f *Family) Deserted(ctx context.Context, pinned bool) (bool, error) {
	for range mostLooks {
		l, since, err := f.survey(ctx, pinned)
		switch {
		case err != nil || len(l.in) > 0:
			return false, err
		case f.sure(l, since):
			return f.lacksOrphans(l, since)
		}
	}
	return false, nil
}

// lacksOrphans reports whether it is proven that no process in l has got away from the family.
func (f *Family) lacksOrphans(l *look, since uint64) (bool, error) {
	session := sessionOf(f.first.PID)
	if _, err := ReadStat(1); err != nil || since == 0 || !f.ours || session <= 0 {
		return false, nil // as where processes are hidden from us
	}
	never, err := Lineage()
	if err != nil {
		return false, err
	}
	if !inheritsOrphans() {
		delete(never, os.Getpid())
	}
	for _, m := range l.all {
		if isBefore(m.id, since) {
			break // as are all that come after
		}
		if never[m.Parent] && (m.Session == session || !isOldSession(m.Session, since)) {
			return false, nil
		}
	}
	return true, nil
}

// isOldSession reports whether the leader of the session lives, and started before since. No
// process can enter a session of others.
func isOldSession(session int, since uint64) bool {
	id, err := Identify(session)
	return err == nil && isBefore(id, since)
}
