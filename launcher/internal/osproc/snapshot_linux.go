package osproc

import (
	"bytes"
	"cmp"
	"context"
	"os"
	"slices"
	"sync"

	"golang.org/x/sys/unix"
)

// A snapshot holds the processes of one moment that have not ended, apart from this program,
// its ancestors, pid 1 and most of the kernel's threads. Any number of goroutines may use it.
type snapshot struct {
	all   []*member       // the youngest first
	byPID map[int]*member // the same
	kin   map[int][]*member

	apart  []int // those that whole adds
	adding sync.Once
	added  *snapshot
}

// A member is a process in a snapshot.
type member struct {
	Stat
	id Identity

	mu       sync.Mutex
	name     string // of the variable that is known; "": none
	variable []byte // NAME=VALUE; nil if the process has none, or if that is not ours to see
}

// newSnapshot returns the snapshot of members.
func newSnapshot(all []*member) *snapshot {
	s := &snapshot{all: all, byPID: make(map[int]*member, len(all)), kin: make(map[int][]*member, len(all))}
	slices.SortStableFunc(all, func(a, b *member) int { return cmp.Compare(b.id.Start, a.id.Start) })
	for _, m := range all {
		s.byPID[m.id.PID] = m
		s.kin[m.Parent] = append(s.kin[m.Parent], m)
		if m.Group != m.Parent {
			s.kin[m.Group] = append(s.kin[m.Group], m)
		}
		if m.Session != m.Parent && m.Session != m.Group {
			s.kin[m.Session] = append(s.kin[m.Session], m)
		}
	}
	return s
}

// kinOf returns the processes whose parent, group or session is pid.
func (s *snapshot) kinOf(pid int) []*member { return s.kin[pid] }

// readSnapshot reads which processes there are.
func readSnapshot() (*snapshot, error) {
	h, err := place()
	if err != nil {
		return nil, err
	}
	pids, err := All()
	if err != nil {
		return nil, err
	}
	never := lineage()
	var all []*member
	var apart []int
	sorts := h.namespace == firstPIDNamespace
	// The youngest first, for these change most.
	for _, pid := range slices.Backward(pids) {
		switch {
		case never[pid]:
		case sorts && isInNoSession(pid):
			apart = append(apart, pid)
		default:
			all = h.appendMember(all, pid)
		}
	}
	s := newSnapshot(all)
	s.apart = apart
	return s, nil
}

// firstPIDNamespace is the pid namespace that the kernel has begun with: it always has the
// same number (PROC_PID_INIT_INO in include/linux/proc_ns.h).
const firstPIDNamespace = "pid:[4026531836]"

// isInNoSession reports whether the process is in no session. A thread of the kernel is in none,
// nor is what init has started before anybody called setsid(2). In another pid namespace than
// the first a session may be of a process that has no number there, and looks like none.
func isInNoSession(pid int) bool {
	session, err := unix.Getsid(pid)
	return err == nil && session == 0
}

// isInSession reports whether the process is in a session. Who is in one stays in one, and so
// do his descendants.
func isInSession(pid int) bool {
	session, err := unix.Getsid(pid)
	return err == nil && session != 0
}

// appendMember appends the process, if it has not ended.
func (h *herePlace) appendMember(all []*member, pid int) []*member {
	st, err := ReadStat(pid)
	if err != nil || st.Dead() {
		return all
	}
	return append(all, &member{Stat: st, id: Identity{PID: pid, Start: h.startOf(st), Boot: h.boot, PIDNamespace: h.namespace}})
}

// whole returns the snapshot with the processes that are in no session. On a machine that
// starts few programs most of all processes are threads of the kernel, and to ask for their
// session takes a fiftieth of what it takes to read what they are.
func (s *snapshot) whole() *snapshot {
	s.adding.Do(func() {
		h, err := place()
		if s.added = s; err != nil || len(s.apart) == 0 {
			return // place cannot fail: it was known when s was read
		}
		all := slices.Clone(s.all)
		for _, pid := range s.apart {
			all = h.appendMember(all, pid)
		}
		s.added = newSnapshot(all)
	})
	return s.added
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

// variableOf returns the variable called name of the environment that m was executed with, as
// NAME=VALUE; nil if it has none, or if that is not ours to see. The error is that of environOf.
//
// It remembers the answer: who looks for another family in the same snapshot asks for the same
// variable. By then the process may have ended, and its number be another's. Whoever signals
// the process finds that out.
func (m *member) variableOf(name []byte, buf *[]byte) ([]byte, error) {
	if len(name) == 0 {
		return nil, nil
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.name != string(name) {
		environ, err := environOf(m.id.PID, buf)
		if err != nil {
			return nil, err
		}
		m.name, m.variable = string(name), bytes.Clone(variable(environ, name))
	}
	return m.variable, nil
}

// snapshots are those that are taken for everybody in this program.
var snapshots = sharing{read: readSnapshot}

// A sharing has all who want a snapshot at the same time wait for the same one. To read the
// processes takes as long as there are many. A thousand pods that are stopped at once need two
// snapshots each: that would be two thousand readings of a thousand processes.
type sharing struct {
	read func() (*snapshot, error)

	mu   sync.Mutex
	next *reading // which has not begun; nil: nobody waits for one
	busy bool     // somebody reads, or has the turn
}

// A reading is a snapshot that is to be read.
type reading struct {
	turn chan struct{} // who receives from it reads
	done chan struct{} // closed when snapshot or err is set

	snapshot *snapshot
	err      error
}

// take returns a snapshot of which nothing was read before the call. One of those who wait
// for it reads it. The error is ctx's cause, or says why there is none.
func (s *sharing) take(ctx context.Context) (*snapshot, error) {
	s.mu.Lock()
	if s.next == nil {
		s.next = &reading{turn: make(chan struct{}, 1), done: make(chan struct{})}
		if !s.busy {
			s.passTurn()
		}
	}
	r := s.next
	s.mu.Unlock()
	select {
	case <-r.done:
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	case <-r.turn:
		s.readNow(r)
	}
	return r.snapshot, r.err
}

// readNow reads r, whose turn it is.
func (s *sharing) readNow(r *reading) {
	s.mu.Lock()
	s.next = nil // who comes from now on wants a later one
	s.mu.Unlock()
	defer func() {
		close(r.done)
		s.mu.Lock()
		defer s.mu.Unlock()
		s.passTurn()
	}()
	r.snapshot, r.err = s.read()
}

// passTurn lets one of those read who wait. If nobody does any more, because all their
// contexts are done, the next one who comes reads.
func (s *sharing) passTurn() {
	if s.busy = s.next != nil; s.busy {
		s.next.turn <- struct{}{}
	}
}
