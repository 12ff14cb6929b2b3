package osproc

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"maps"
	"os"
	"slices"
	"sync"
	"sync/atomic"

	"golang.org/x/sys/unix"
)

// A snapshot holds the processes of one moment that have not ended, apart from this program,
// its ancestors, pid 1 and most of the kernel's threads. Any number of goroutines may use it.
//
// It takes time to read, and processes come and go meanwhile. If a process starts another one
// and ends, neither of the two may be in it. So who concludes from it that somebody is not
// there has to look at what went missing: see sure.
type snapshot struct {
	all   []*member         // the youngest first
	byPID map[int]*member   // the same
	kin   map[int][]*member // by the number of a parent, a group or a session: its processes

	dead     *deadSet // those that had ended by the time they were looked at
	vanished bool     // one was there at first, and then not even dead; or some came meanwhile

	marked sync.Map // the name of a variable: func() *marking
	locks  sync.Map // a *member: func() (*lockedMember, error)

	apart []int // those that whole adds
	asked question
	whole func() (*snapshot, error) // the snapshot with the processes that are in no session
}

// A member is a process in a snapshot.
type member struct {
	Stat
	id     Identity
	marks  map[string][]byte // the variables that were asked for: NAME=VALUE
	untold error             // why there is nothing in marks; nil: it is not there, or not ours to see
}

// A question is what a snapshot tells of its processes besides. The zero value is nothing.
type question struct {
	names []string // of variables in the environment
	since uint64   // who started before that is not asked, as in Identity
}

// add asks q, too.
func (a *question) add(q question) {
	if len(q.names) > 0 && (len(a.names) == 0 || q.since < a.since) {
		a.since = q.since
	}
	for _, name := range q.names {
		if !slices.Contains(a.names, name) {
			a.names = append(a.names, name)
		}
	}
}

// A marking is the members of a snapshot by what a variable is in their environment.
type marking struct {
	with    map[string][]*member // NAME=VALUE: those that have it so, the youngest first
	without []*member            // those that do not have it, or were not asked; the youngest first
}

// by returns the marking by the variable called name.
func (s *snapshot) by(name string) *marking {
	find, _ := s.marked.LoadOrStore(name, sync.OnceValue(func() *marking {
		all := &marking{with: make(map[string][]*member)}
		for _, m := range s.all {
			if mark := m.marks[name]; mark != nil {
				all.with[string(mark)] = append(all.with[string(mark)], m)
			} else {
				all.without = append(all.without, m)
			}
		}
		return all
	}))
	return find.(func() *marking)()
}

// A lockedMember is what a member has of the locks of all pods.
type lockedMember struct {
	owner    *lockOwner // nil: nothing
	vanished bool       // it was not there any more afterwards
}

// locksOf returns what m has of them. It is looked at once, for all who ask.
func (s *snapshot) locksOf(m *member) (*lockedMember, error) {
	look, _ := s.locks.LoadOrStore(m, sync.OnceValues(func() (*lockedMember, error) {
		owner, err := lockSearch{ctx: context.Background()}.owner(m.id.PID)
		return &lockedMember{owner, vanished(m.id.PID)}, err
	}))
	return look.(func() (*lockedMember, error))()
}

// A deadSet is the processes that had ended when a snapshot was read.
type deadSet struct {
	ids    map[Identity]bool
	number uint64 // of the snapshot, in this program

	mu    sync.Mutex
	fresh map[uint64][]Identity // by the number of an earlier one: see since
}

var snapshotsRead atomic.Uint64

// mostRemembered is how many answers of since are kept.
const mostRemembered = 8

func newDeadSet(ids []Identity) *deadSet {
	d := &deadSet{ids: make(map[Identity]bool, len(ids)), number: snapshotsRead.Add(1), fresh: make(map[uint64][]Identity)}
	for _, id := range ids {
		d.ids[id] = true
	}
	return d
}

// since returns those that are not in an earlier set; nil: none was. A thousand families that
// look at the same time have mostly looked at the same time before, too.
func (d *deadSet) since(earlier *deadSet) []Identity {
	if earlier == nil {
		earlier = new(deadSet)
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	fresh, found := d.fresh[earlier.number]
	if !found {
		for id := range d.ids {
			if !earlier.ids[id] {
				fresh = append(fresh, id)
			}
		}
		if len(d.fresh) < mostRemembered {
			d.fresh[earlier.number] = fresh
		}
	}
	return fresh
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

// A reader reads a snapshot.
type reader struct {
	*herePlace
	question
	buf      []byte
	all      []*member
	dead     []Identity
	vanished bool
	untold   []*member
}

// readSnapshot reads which processes there are, and asks q of each.
func readSnapshot(q question) (*snapshot, error) {
	h, err := place()
	if err != nil {
		return nil, err
	}
	never, err := Lineage()
	if err != nil {
		return nil, err
	}
	before := lastPID()
	pids, err := All()
	if err != nil {
		return nil, err
	}
	r := &reader{herePlace: h, question: q, buf: make([]byte, 64<<10), vanished: lastPID() != before}
	var apart []int
	// The youngest first, for these change most.
	for _, pid := range slices.Backward(pids) {
		switch {
		case never[pid]:
		case h.namespace == firstPIDNamespace && sessionOf(pid) == 0:
			apart = append(apart, pid)
		default:
			if err := r.read(pid); err != nil {
				return nil, err
			}
		}
	}
	s := r.snapshot()
	s.apart = apart
	s.whole = sync.OnceValues(s.readWhole)
	return s, nil
}

// snapshot returns what was read.
func (r *reader) snapshot() *snapshot {
	r.wait()
	s := newSnapshot(r.all)
	s.dead, s.vanished, s.asked = newDeadSet(r.dead), r.vanished, r.question
	return s
}

// read adds a process. It reads the environment at once: a process that ends before that
// cannot be told from a process with nothing in there.
func (r *reader) read(pid int) error {
	st, err := ReadStat(pid)
	switch {
	case isGone(err):
		r.vanished = true
		return nil
	case errors.Is(err, os.ErrPermission): // another user's, with hidepid=noaccess
		return nil
	case err != nil: // as where there is no descriptor left
		return err
	}
	m := &member{Stat: st, id: Identity{PID: pid, Start: r.startOf(st), Boot: r.boot, PIDNamespace: r.namespace}}
	if st.Dead() {
		r.dead = append(r.dead, m.id)
		return nil
	}
	r.all = append(r.all, m)
	if len(r.names) == 0 || isBefore(m.id, r.since) {
		return nil
	}
	if r.ask(m); isUntold(m.untold) {
		r.untold = append(r.untold, m)
		return nil
	}
	return m.untold
}

// isBefore reports whether the process with the Identity started before since. A tick is no
// difference, see findOffset.
func isBefore(id Identity, since uint64) bool { return id.Start+1 < since }

// ask reads the variables of m.
func (r *reader) ask(m *member) {
	var environ []byte
	if environ, m.untold = environOf(m.id.PID, &r.buf); m.untold != nil {
		return
	}
	m.marks = make(map[string][]byte, len(r.names))
	for _, name := range r.names {
		if v := variable(environ, []byte(name)); v != nil {
			m.marks[name] = bytes.Clone(v)
		}
	}
	if len(environ) > 0 {
		return
	}
	if st, err := ReadStat(m.id.PID); err != nil || st.Dead() || st.Ending || r.startOf(st) != m.id.Start {
		r.vanished = true // and had an environment before
	}
}

// mute are the processes that have not shown their environment in the end.
var mute struct {
	sync.Mutex
	ids map[Identity]bool
}

// wait asks those again that were between two programs. Who does not show his environment in
// the end is not waited for any more.
func (r *reader) wait() {
	mute.Lock()
	defer mute.Unlock()
	patient := slices.DeleteFunc(slices.Clone(r.untold), func(m *member) bool { return mute.ids[m.id] })
	if len(patient) > 0 {
		_ = untilTold(func() (err error) {
			patient = slices.DeleteFunc(patient, func(m *member) bool {
				r.ask(m)
				if err != errExecuting && isUntold(m.untold) {
					err = m.untold
				}
				return !isUntold(m.untold)
			})
			return err
		})
	}
	now := make(map[Identity]bool)
	for _, m := range r.all {
		if isUntold(m.untold) || m.marks == nil && mute.ids[m.id] {
			now[m.id] = true
		}
	}
	mute.ids = now
}

// lastPID returns the number of the process or thread that was started last in our pid
// namespace, as /proc/loadavg has it; "" if that is not there.
func lastPID() string {
	var buf [128]byte
	n, err := readShort("/proc/loadavg", buf[:])
	if err != nil {
		return ""
	}
	text := bytes.TrimSpace(buf[:n])
	return string(text[bytes.LastIndexByte(text, ' ')+1:])
}

// firstPIDNamespace is the pid namespace that the kernel has begun with: it always has the
// same number (PROC_PID_INIT_INO in include/linux/proc_ns.h).
const firstPIDNamespace = "pid:[4026531836]"

// sessionOf returns the session of the process: 0 if it is in none, and -1 if that cannot be told.
// Who is in a session stays in one, and so do his descendants. A thread of the kernel is in none,
// nor is what init has started before anybody called setsid(2). In another pid namespace than
// the first a session may be of a process that has no number there, and looks like none.
func sessionOf(pid int) int {
	session, err := unix.Getsid(pid)
	if err != nil {
		return -1
	}
	return session
}

// readWhole returns s with the processes that are in no session. On a machine that
// starts few programs most of all processes are threads of the kernel, and to ask for their
// session takes a fiftieth of what it takes to read what they are.
func (s *snapshot) readWhole() (*snapshot, error) {
	h, err := place()
	if err != nil {
		return nil, err
	}
	r := &reader{herePlace: h, question: s.asked, buf: make([]byte, 64<<10), all: slices.Clone(s.all), dead: slices.Collect(maps.Keys(s.dead.ids)), vanished: s.vanished}
	for _, pid := range s.apart {
		if err := r.read(pid); err != nil {
			return nil, err
		}
	}
	return r.snapshot(), nil
}

// Lineage returns this program, its parent, the parent of that, and so on, to pid 1. A
// number of 0 stands for a parent, a group or a session that is of another pid namespace,
// and so for any number of processes that have nothing in common.
func Lineage() (map[int]bool, error) {
	all := map[int]bool{0: true, 1: true}
	for pid := os.Getpid(); !all[pid]; {
		all[pid] = true
		st, err := ReadStat(pid)
		if err != nil && !isGone(err) && !errors.Is(err, os.ErrPermission) {
			return nil, err
		}
		pid = st.Parent // 0 if it cannot be seen
	}
	return all, nil
}

// snapshots are those that are taken for everybody in this program. A thousand pods that are
// stopped at once need two snapshots each: that would be two thousand readings of a thousand
// processes.
var snapshots = newSharing(func(_ context.Context, q question) (*snapshot, error) { return readSnapshot(q) }, (*question).add)
