package unixproc

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"strconv"
	"syscall"

	"golang.org/x/sys/unix"
)

// A Family is a process, and who belongs to it:
//
//   - its group, and its session;
//   - its descendants, as long as their parents live;
//   - who has the mark in the environment that it was executed with, as whatever it has
//     started has, unless that was taken out;
//   - whom Add has added;
//   - and the same of each of these.
//
// Who has another mark does not belong to it, nor does what that one has started. This
// program does not, nor do those that it comes from, nor pid 1, whatever is found.
//
// A Family remembers whom it has seen, so those who were found once stay found when
// their parents are gone. It is used by one goroutine at a time.
type Family struct {
	first Identity
	mark  string // NAME=VALUE; "": none
	known map[Identity]bool
}

// NewFamily returns that of the process with the Identity. Whatever it starts has mark,
// NAME=VALUE, in its environment; "" means nothing.
func NewFamily(first Identity, mark string) *Family {
	return &Family{first: first, mark: mark, known: make(map[Identity]bool)}
}

// Add adds processes that are known to belong to it.
func (f *Family) Add(ids []Identity) {
	for _, id := range ids {
		f.known[id] = true
	}
}

// look is what there is at one moment.
type look struct {
	stats map[int]Stat
	ids   map[int]Identity
	other map[int]bool // has another mark
	in    map[int]bool // belongs to the family
}

// Left returns who belongs to the process and has not ended, itself first if it is
// there. If pinned, the number of its group is its own: it lives, or is a zombie that
// nobody can reap meanwhile.
func (f *Family) Left(ctx context.Context, pinned bool) ([]Identity, error) {
	l, err := f.read(ctx)
	if err != nil {
		return nil, err
	}
	f.seed(l, pinned)
	l.close()
	var left []Identity
	for pid := range l.in {
		left = append(left, l.ids[pid])
		f.known[l.ids[pid]] = true
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
	return left, nil
}

// read reads who there is.
func (f *Family) read(ctx context.Context) (*look, error) {
	h, err := place()
	if err != nil {
		return nil, err
	}
	boot, namespace, err := here()
	if err != nil {
		return nil, err
	}
	pids, err := All()
	if err != nil {
		return nil, err
	}
	l := &look{stats: make(map[int]Stat), ids: make(map[int]Identity), other: make(map[int]bool), in: make(map[int]bool)}
	never := lineage()
	name, _, _ := bytes.Cut([]byte(f.mark), []byte("="))
	buf := make([]byte, 64<<10)
	for _, pid := range pids {
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		st, err := ReadStat(pid)
		if err != nil || st.Dead() || never[pid] {
			continue
		}
		l.stats[pid] = st
		l.ids[pid] = Identity{PID: pid, Start: h.startOf(st), Boot: boot, PIDNamespace: namespace}
		if len(name) == 0 {
			continue
		}
		switch mark := variable(pid, name, &buf); {
		case mark == nil:
		case string(mark) == f.mark:
			l.in[pid] = true
		default:
			l.other[pid] = true
		}
	}
	return l, nil
}

// seed adds those of whom it is known without looking at others.
func (f *Family) seed(l *look, pinned bool) {
	for pid, st := range l.stats {
		id := l.ids[pid]
		if l.other[pid] && id != f.first {
			continue
		}
		if id == f.first || f.known[id] || pinned && f.first.PID > 1 && (st.Group == f.first.PID || st.Session == f.first.PID) {
			l.in[pid] = true
		}
	}
}

// close adds the children of those who belong, and the members of their groups and
// sessions, until there are no more.
func (l *look) close() {
	for grown := true; grown; {
		grown = false
		for pid, st := range l.stats {
			if l.in[pid] || l.other[pid] {
				continue
			}
			if l.in[st.Parent] || l.in[st.Group] || l.in[st.Session] {
				l.in[pid] = true
				grown = true
			}
		}
	}
}

// lineage returns this program, its parent, the parent of that, and so on, to pid 1. A
// number of 0 stands for a parent, a group or a session that is of another pid namespace,
// and so for any number of processes that have nothing in common.
func lineage() map[int]bool {
	all := map[int]bool{0: true, 1: true}
	for pid := os.Getpid(); !all[pid]; {
		all[pid] = true
		st, err := ReadStat(pid)
		if err != nil {
			break
		}
		pid = st.Parent
	}
	return all
}

// variable returns the variable called name of the environment that a process was
// executed with, as NAME=VALUE; nil if it has none, or if that is not ours to see
// (proc_pid_environ(5)). buf is for its use, and grows.
func variable(pid int, name []byte, buf *[]byte) []byte {
	path := "/proc/" + strconv.Itoa(pid) + "/environ"
	n, err := readShort(path, *buf)
	for err == nil && n == len(*buf) {
		*buf = make([]byte, 2*n)
		n, err = readShort(path, *buf)
	}
	if err != nil {
		return nil
	}
	for entry := range bytes.SplitSeq((*buf)[:n], []byte{0}) {
		if bytes.HasPrefix(entry, name) && len(entry) > len(name) && entry[len(name)] == '=' {
			return entry
		}
	}
	return nil
}

// SignalEach sends sig to each of the processes. Who is gone is no error. A process
// whose signal is refused is named, and the others get it all the same.
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

// Kill sends SIGKILL to all who belong. They are stopped first, until there are no new
// ones: who is stopped starts nobody. It returns to whom it was sent. Who was stopped and
// is not sent SIGKILL is continued: one that has executed a program with another mark
// meanwhile, or all if they cannot be looked for any more.
func (f *Family) Kill(ctx context.Context, pinned bool) (left []Identity, err error) {
	stopped := make(map[Identity]bool)
	defer func() {
		for _, id := range left {
			delete(stopped, id)
		}
		_ = SignalEach(slices.Collect(maps.Keys(stopped)), unix.SIGCONT)
	}()
	for looks := 0; ; looks++ {
		if left, err = f.Left(ctx, pinned); err != nil {
			return nil, err
		}
		fresh := slices.DeleteFunc(slices.Clone(left), func(id Identity) bool { return stopped[id] })
		if len(fresh) == 0 || looks == 100 { // else they are faster than we are; the caller looks again
			return left, SignalEach(left, unix.SIGKILL)
		}
		_ = SignalEach(fresh, unix.SIGSTOP) // one that refuses gets SIGKILL all the same
		for _, id := range fresh {
			stopped[id] = true
		}
	}
}

// ReapInherited reaps who was seen of the family, and has ended or is about to, if this
// program becomes their parent. The first process is not among them.
func (f *Family) ReapInherited(ctx context.Context) {
	ids := maps.Keys(f.known)
	ReapInherited(ctx, slices.DeleteFunc(slices.Collect(ids), func(id Identity) bool { return id == f.first }))
}

// IsInGroup reports whether the process is in the group.
func IsInGroup(id Identity, group int) bool {
	st, err := ReadStat(id.PID)
	return err == nil && st.Group == group
}
