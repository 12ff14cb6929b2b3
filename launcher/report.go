package launcher

import (
	"slices"
	"sync"
	"syscall"
	"time"

	"github.com/podlaunch/podlaunch/launcher/internal/osproc"
)

// MaxReported is how many processes a [Report] describes.
const MaxReported = 256

// A Report says how a pod was ended by this program: who was sent what, when each process
// went, and which had to be killed.
type Report struct {
	Processes []ReportedProcess // in the order in which they were first signalled; at most MaxReported
	More      int               // how many others were signalled
}

// A ReportedProcess is a process that was signalled to end a pod.
type ReportedProcess struct {
	PID     int              // 0 if it has none on this machine
	Command string           // the name of its program, as the kernel keeps it; empty if it had gone by then
	Signals []ReportedSignal // each signal once, in order: the stop signal, then SIGKILL
	Killed  bool             // SIGKILL is among them

	// Gone is when it was seen to have ended. The first process is waited for. The
	// others are looked at every few milliseconds at first, and every 50 ms later. Zero
	// means that it was still there at the last look.
	Gone time.Time
}

// A ReportedSignal is a signal that a process was sent.
type ReportedSignal struct {
	Signal syscall.Signal
	At     time.Time
}

// A reporter gathers a Report. The zero value has nothing.
type reporter struct {
	mu        sync.Mutex
	list      []ReportedProcess
	ids       []osproc.Identity          // of those in list
	at        map[osproc.Identity]int    // where they are in list; -1: they are among the others
	names     map[osproc.Identity]string // of the programs of those who are about to be signalled
	more      int
	firstGone time.Time // when the first process was seen to have ended
}

// copy returns what is known by now.
func (r *reporter) copy() Report {
	r.mu.Lock()
	defer r.mu.Unlock()
	list := slices.Clone(r.list)
	for i := range list {
		list[i].Signals = slices.Clone(list[i].Signals)
	}
	return Report{list, r.more}
}

// about notes that each of ids is about to be sent a signal, which may end it at once: its name is
// read now.
func (r *reporter) about(ids []osproc.Identity) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.names == nil {
		r.names = make(map[osproc.Identity]string)
	}
	for _, id := range ids {
		if _, ok := r.at[id]; !ok && id.PID != 0 && len(r.names) < MaxReported {
			r.names[id] = osproc.CommandName(id.PID)
		}
	}
}

// sent notes that each of ids was sent sig, just after at.
func (r *reporter) sent(ids []osproc.Identity, sig syscall.Signal, at time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, id := range ids {
		i := r.find(id)
		if i < 0 {
			continue
		}
		e := &r.list[i]
		if slices.ContainsFunc(e.Signals, func(s ReportedSignal) bool { return s.Signal == sig }) {
			continue
		}
		e.Signals = append(e.Signals, ReportedSignal{sig, at})
		e.Killed = e.Killed || sig == syscall.SIGKILL
	}
}

// killed notes that SIGKILL was sent to each of ids, after at. If err is not nil some have refused
// it: then it is those who are about to end.
func (r *reporter) killed(ids []osproc.Identity, at time.Time, err error) {
	var sent []osproc.Identity
	for _, id := range ids {
		if !isHidden(id) && (err == nil || osproc.IsEnding(id)) {
			sent = append(sent, id)
		}
	}
	r.sent(sent, syscall.SIGKILL, at)
}

// find returns where id is in the list, which it adds it to; -1: the list is full.
func (r *reporter) find(id osproc.Identity) int {
	if i, ok := r.at[id]; ok {
		return i
	}
	if r.at == nil {
		r.at = make(map[osproc.Identity]int)
	}
	if len(r.list) == MaxReported {
		r.more++
		r.at[id] = -1
		return -1
	}
	e := ReportedProcess{PID: id.PID}
	if name, ok := r.names[id]; ok {
		e.Command = name
	} else if id.PID != 0 {
		e.Command = osproc.CommandName(id.PID)
	}
	r.list, r.ids = append(r.list, e), append(r.ids, id)
	r.at[id] = len(r.list) - 1
	return len(r.list) - 1
}

// firstEnded notes that the first process has ended.
func (r *reporter) firstEnded() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.firstGone = time.Now()
}

// look notes who has gone, and reports whether anybody in the list but first, which is
// waited for, is still there.
func (r *reporter) look(first osproc.Identity) (left bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for i, id := range r.ids {
		e := &r.list[i]
		switch {
		case !e.Gone.IsZero():
		case id == first:
			e.Gone = r.firstGone
		case osproc.ProvesEnd(id.Check()):
			e.Gone = time.Now()
		default:
			left = true
		}
	}
	return left
}
