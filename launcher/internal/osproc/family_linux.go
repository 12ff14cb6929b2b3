package osproc

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// A Family is a process, and the processes that belong to it:
//
//   - its group, and its session;
//   - its descendants, as long as their parents live;
//   - each process that was executed with the mark in its environment; the descendants
//     have the mark, unless somebody took it out;
//   - the processes that Add has added, and the heirs that SetHeirs tells;
//   - and the same of each of these.
//
// A process with another mark does not belong to the family, nor do the processes that it
// has started. Nor does a process that has no mark and holds another pod's lock, at the
// descriptor that SetLock names. This program, its ancestors and pid 1 never belong to it.
//
// A Family remembers the processes that it has seen, so it still finds them when their
// parents are gone. Only one goroutine may use it at a time.
type Family struct {
	first Identity
	mark  string // NAME=VALUE; "": none
	since Identity
	ours  bool // this program has forked first
	lock  lockPlace
	heir  func(LockHolder) (bool, error)
	known map[Identity]bool
	dead  *deadSet // of the last look; nil: there was none
}

// NewFamily returns the Family of the process with the Identity. The processes that it
// starts have mark, NAME=VALUE, in their environment; "" means that there is no mark.
func NewFamily(first Identity, mark string) *Family {
	return &Family{first: first, mark: mark, known: make(map[Identity]bool)}
}

// Add adds processes that belong to the family.
func (f *Family) Add(ids []Identity) {
	for _, id := range ids {
		f.known[id] = true
	}
}

// Known returns the processes that the family has, or had.
func (f *Family) Known() []Identity { return slices.Collect(maps.Keys(f.known)) }

// SetSince says that no process of the family is older than the one with the Identity, except
// those that Add adds. Whether it started before takes three calls to find out, and who has
// the mark, or is an heir, dozens. Without SetSince all processes are asked.
//
// forked says that this program has forked the first process. As long as that one is in a
// session, so is everybody of the family, and who is in none is not looked at: the threads of
// the kernel.
func (f *Family) SetSince(id Identity, forked bool) { f.since, f.ours = id, forked }

// SetHeirs says how to tell whether a process that holds the lock of SetLock has it from the
// family. Left asks about those that have no mark, and that may be of the family. An error of is
// ends the look.
func (f *Family) SetHeirs(is func(LockHolder) (bool, error)) { f.heir = is }

// SetLock says that the process has a lock at descriptor fd. Other pods have their locks at the
// same descriptor: files whose names begin with a dot and end in [PodLock] or [PrivateLock], or
// as that of file does. The zero LockFile means that the process has no lock.
func (f *Family) SetLock(file LockFile, fd int) { f.lock = lockPlace{file, fd} }

// A look is a snapshot, and who in it belongs to the family.
type look struct {
	*snapshot
	name, mark string       // of the family's variable, and NAME=VALUE; "": none
	since      uint64       // nobody of the family is older
	in         map[int]bool // belongs to the family
	foreign    map[int]bool // has another pod's lock
	missed     bool         // somebody may belong, and has ended since
}

// isOther reports whether m has another mark, or another pod's lock.
func (l *look) isOther(m *member) bool {
	mark := m.marks[l.name]
	return mark != nil && string(mark) != l.mark && !isBefore(m.id, l.since) || l.foreign[m.id.PID]
}

// mostLooks is how many looks Left takes at most until it believes one in which nobody is
// left: as many generations of processes may each start the next one and end meanwhile. On a
// machine that starts programs all the time no look may be sure.
const mostLooks = 5

// Left returns the processes of the family that have not ended, the first process at the
// front if it is among them. pinned says that the number of its group is its own: the
// first process lives, or is a zombie that nobody can reap meanwhile.
func (f *Family) Left(ctx context.Context, pinned bool) (left []Identity, err error) {
	for sure, looks := false, 0; !sure && looks < mostLooks; looks++ {
		left, sure, err = f.look(ctx, pinned)
		if len(left) > 0 || err != nil {
			return left, err
		}
	}
	return nil, nil
}

// look takes one look. sure says that nobody of the family can have been missed because he was
// started, or ended, meanwhile.
func (f *Family) look(ctx context.Context, pinned bool) (left []Identity, sure bool, err error) {
	l, since, err := f.survey(ctx, pinned)
	if err != nil {
		return nil, false, err
	}
	for pid := range l.in {
		left = append(left, l.byPID[pid].id)
	}
	slices.SortFunc(left, func(a, b Identity) int {
		if (a == f.first) != (b == f.first) {
			if a == f.first {
				return -1
			}
			return 1
		}
		return a.PID - b.PID
	})
	return left, f.sure(l, since), nil
}

// survey takes a look, and remembers who belongs to the family. since is when the family began;
// 0 if that is not known.
func (f *Family) survey(ctx context.Context, pinned bool) (l *look, since uint64, err error) {
	h, err := place()
	if err != nil {
		return nil, 0, err
	}
	name, _, _ := strings.Cut(f.mark, "=")
	var q question
	if name != "" {
		q.names = []string{name}
	}
	if f.since.Boot == h.boot {
		q.since = f.since.Start
	}
	s, err := snapshots.take(ctx, q)
	if err == nil && (!f.ours || !pinned || sessionOf(f.first.PID) <= 0) {
		s, err = s.whole()
	}
	if err != nil {
		return nil, 0, err
	}
	l = &look{snapshot: s, name: name, mark: f.mark, since: q.since, in: make(map[int]bool), foreign: make(map[int]bool)}
	if err := f.ask(ctx, l); err != nil {
		return nil, 0, err
	}
	f.seed(l, pinned)
	if err := l.close(f.lock); err != nil {
		return nil, 0, err
	}
	for pid := range l.in {
		f.known[l.byPID[pid].id] = true
	}
	return l, q.since, nil
}

// Has reports whether the family has, or had, a process with that pid.
func (f *Family) Has(pid int) bool {
	for id := range f.known {
		if id.PID == pid {
			return true
		}
	}
	return false
}

// sure reports whether no process that may be of the family has ended while the snapshot was
// read. Who had ended in the look before has not.
func (f *Family) sure(l *look, since uint64) bool {
	fresh := l.dead.since(f.dead)
	f.dead = l.dead
	return !l.vanished && !l.missed && !slices.ContainsFunc(fresh, func(id Identity) bool {
		return id != f.first && !isBefore(id, since)
	})
}

// ask finds those that have the mark, and the heirs.
func (f *Family) ask(ctx context.Context, l *look) error {
	all := l.by(l.name)
	for _, m := range all.with[l.mark] {
		if !isBefore(m.id, l.since) {
			l.in[m.id.PID] = true
		}
	}
	if f.heir == nil || f.lock.file.Path == "" {
		return nil
	}
	for _, m := range all.without {
		if isBefore(m.id, l.since) {
			break // as are all that come after
		}
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		is, gone, err := f.isHeir(l, m)
		switch {
		case err != nil:
			return fmt.Errorf("find out whether pid %d holds the pod's lock: %w", m.id.PID, err)
		case is:
			l.in[m.id.PID] = true
		default:
			l.missed = l.missed || gone // and may have been one
		}
	}
	return nil
}

// isHeir reports whether m has the lock from the family, and whether it has gone meanwhile.
func (f *Family) isHeir(l *look, m *member) (is, gone bool, err error) {
	var h LockHolder
	if asksNoServer() && isPodLock([]byte(filepath.Base(f.lock.file.Path))) {
		locked, lookErr := l.locksOf(m)
		if lookErr != nil {
			return false, false, lookErr
		}
		gone = locked.vanished
		if locked.owner != nil {
			h, is, err = locked.owner.of(f.lock.file)
		}
	} else {
		h, is, err = LockHolderOf(m.id.PID, f.lock.file)
		gone = vanished(m.id.PID)
	}
	if !is || err != nil || h.Identity != m.id {
		return false, gone, err
	}
	is, err = f.heir(h)
	return is, gone, err
}

// seed adds the processes that belong to the family regardless of others.
func (f *Family) seed(l *look, pinned bool) {
	add := func(id Identity) {
		if m := l.byPID[id.PID]; m != nil && m.id == id && (!l.isOther(m) || id == f.first) {
			l.in[id.PID] = true
		}
	}
	add(f.first)
	for id := range f.known {
		add(id)
	}
	if pinned && f.first.PID > 1 {
		for _, m := range l.kin[f.first.PID] {
			if m.Group == f.first.PID || m.Session == f.first.PID {
				add(m.id)
			}
		}
	}
}

// close adds the children of the processes that belong, and the members of their groups
// and sessions, until there are no more. It adds no process that has the lock of another
// pod at own.
func (l *look) close(own lockPlace) error {
	for todo := slices.Collect(maps.Keys(l.in)); len(todo) > 0; {
		pid := todo[len(todo)-1]
		todo = todo[:len(todo)-1]
		for _, m := range l.kin[pid] {
			kin := m.id.PID
			if l.in[kin] || l.isOther(m) {
				continue
			}
			anothers, err := own.isAnothers(kin)
			switch {
			case err != nil:
				return fmt.Errorf("find out whether pid %d has another pod's lock: %w", kin, err)
			case anothers:
				l.foreign[kin] = true
			default:
				l.in[kin] = true
				todo = append(todo, kin)
			}
		}
	}
	return nil
}

// SignalEach sends sig to each of the processes. A process that is gone is no error. If
// the kernel refuses the signal to a process, the error names the process, and the others
// get the signal all the same.
func SignalEach(ids []Identity, sig syscall.Signal) error {
	var errs []error
	for _, id := range ids {
		err := Signal(id, sig)
		if err != nil && !ProvesEnd(err) {
			errs = append(errs, fmt.Errorf("signal pid %d (%s) with %v: %w", id.PID, CommandName(id.PID), sig, err))
		}
	}
	return errors.Join(errs...)
}

// Kill sends SIGKILL to all processes of the family, and returns those that it was sent
// to. It stops them first, until there are no new ones: a stopped process starts no
// others. It continues a process that it has stopped and does not kill. That is a process
// that has executed a program with another mark meanwhile. It is also every stopped
// process, if Kill cannot look for the family any more.
func (f *Family) Kill(ctx context.Context, pinned bool) (left []Identity, err error) {
	stopped := make(map[Identity]bool)
	defer func() {
		for _, id := range left {
			delete(stopped, id)
		}
		_ = SignalEach(slices.Collect(maps.Keys(stopped)), unix.SIGCONT)
	}()
	for looks := 0; ; looks++ {
		left = nil // if Left panics all of them are continued
		if left, err = f.Left(ctx, pinned); err != nil {
			return nil, err
		}
		fresh := slices.DeleteFunc(slices.Clone(left), func(id Identity) bool { return stopped[id] })
		if len(fresh) == 0 || looks == 100 { // else they are faster than we are; the caller looks again
			return left, SignalEach(left, unix.SIGKILL)
		}
		_ = SignalEach(fresh, unix.SIGSTOP) // a process that refuses gets SIGKILL all the same
		for _, id := range fresh {
			stopped[id] = true
		}
	}
}

// ReapInherited reaps the processes of the family that it has seen and that have ended, or
// are about to, if this program becomes their parent. It does not reap the first process.
func (f *Family) ReapInherited(ctx context.Context) {
	ids := maps.Keys(f.known)
	ReapInherited(ctx, slices.DeleteFunc(slices.Collect(ids), func(id Identity) bool { return id == f.first }))
}

// IsInGroup reports whether the process is in the group.
func IsInGroup(id Identity, group int) bool {
	st, err := ReadStat(id.PID)
	return err == nil && st.Group == group
}
