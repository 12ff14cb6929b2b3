package launcher

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/podlaunch/podlaunch/launcher/internal/osproc"
	"github.com/podlaunch/podlaunch/readiness"
)

// A program that goes to the background may say which process takes its place. With a probe
// that hears it (readiness.Adopter), that process becomes the pod's first one, once it is
// proven to belong to the pod: Pod.Stop would end it.

// A succession is the search for the first process of a pod that may go to the background.
// It is the [readiness.Kin] of the launch. It is nil if the pod has to stay: then there is one
// by newKin that adopts nobody.
type succession struct {
	started *Pod
	exited  chan struct{} // closed when a process has ended without which the launch fails; that of lost
	lost    atomic.Pointer[Pod]
	empty   bool          // lost was the last one of the pod; set before lost is
	gently  bool          // a launch that fails has a grace for its processes
	changed chan struct{} // has a token when main is another one

	mu   sync.Mutex // held while a process is proven
	main *Pod       // of the process that was adopted; nil: none
	over bool       // nobody is adopted any more
	stop context.CancelFunc
	gone chan struct{} // closed when the goroutine has ended

	// searching is done from stop on. Who looks whether anybody is left looks no longer.
	searching context.Context
}

var _ readiness.Kin = (*succession)(nil)

// newSuccession returns the succession of pod, whose process was started; nil if its probe
// adopts none, or the process is not on this machine. Its goroutine ends with end.
func newSuccession(adopts bool, pod *Pod) *succession {
	if _, ours := pod.proc.(child); !ours || !adopts {
		return nil
	}
	s := &succession{
		started: pod,
		exited:  make(chan struct{}),
		changed: make(chan struct{}, 1),
		gone:    make(chan struct{}),
	}
	s.searching, s.stop = context.WithCancel(context.Background())
	go s.watch()
	return s
}

// newKin returns what proves which processes belong to pod: s, or if that is nil a succession
// that adopts none. It is nil if nothing can be proven here.
func newKin(s *succession, pod *Pod) *succession {
	if _, ours := pod.proc.(child); s == nil && ours && osproc.Proves {
		return &succession{started: pod, searching: context.Background()}
	}
	return s
}

// watch waits for the end of the first process, which another one may succeed.
func (s *succession) watch() {
	defer close(s.gone)
	started := s.started.exited
	var main *Pod
	var ended <-chan struct{} // of main
	var look <-chan time.Time // whether anybody is left who could be adopted
	delay := firstLook
	for {
		select {
		case <-started:
			if !s.wentWell() {
				s.lost.Store(s.started)
				close(s.exited)
				return
			}
			s.remember()
			started = nil
			if main == nil || main == s.started {
				look = time.After(0)
			}
		case <-look:
			if s.isDeserted() {
				s.empty = true
				s.lost.Store(s.started)
				close(s.exited)
				return
			}
			look, delay = time.After(delay), min(2*delay, lastLook)
		case <-ended:
			s.lost.Store(main)
			close(s.exited)
			return
		case <-s.changed:
			if main, ended = s.now(), nil; main != s.started {
				ended, look = main.exited, nil
			}
		case <-s.searching.Done():
			return
		}
	}
}

// wentWell reports whether the process that was started, which has ended, may have gone to
// the background.
func (s *succession) wentWell() bool {
	p := s.started
	return p.waitErr == nil && (p.exit == Exit{Known: true} || !p.exit.Known)
}

// remember finds the processes of the pod while the started process is ending. See
// Pod.remember.
func (s *succession) remember() {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	_, _ = s.members(ctx) // who could not be found now is looked for again
}

// firstLook and lastLook are how long after a look whether anybody is left the next one comes,
// at first and in the end.
const firstLook, lastLook = 2 * time.Millisecond, 250 * time.Millisecond

// isDeserted reports whether it is proven that nobody of the pod is left.
func (s *succession) isDeserted() bool {
	ctx, cancel := context.WithTimeout(s.searching, patience)
	defer cancel()
	f, giveBack, err := s.useFamily(ctx)
	if err != nil {
		return false
	}
	defer giveBack()
	deserted, err := f.deserted(ctx)
	return deserted && err == nil
}

// now returns the Pod of the first process by now.
func (s *succession) now() *Pod {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.main != nil {
		return s.main
	}
	return s.started
}

// useFamily returns who belongs to the pod. During the launch every heir of the pod's lock has
// it from this pod, even after the end of the started process. Afterwards another pod may have
// the lock by then, as in useFamilyBy. The caller has to call giveBack.
func (s *succession) useFamily(ctx context.Context) (f family, giveBack func(), err error) {
	p := s.started
	f, giveBack, err = p.useFamilyBy(ctx)
	if err == nil && f.who != nil {
		f.who.SetHeirs(func(h osproc.LockHolder) (bool, error) {
			return p.heirs.Has(h) && (!p.isSettled() || !p.hasExited()), nil // in this order
		})
	}
	return f, giveBack, err
}

// members returns the processes of the pod.
func (s *succession) members(ctx context.Context) ([]osproc.Identity, error) {
	f, giveBack, err := s.useFamily(ctx)
	if err != nil {
		return nil, err
	}
	defer giveBack()
	return f.left()
}

// had reports whether pid was a process of the pod.
func (s *succession) had(ctx context.Context, pid int) bool {
	f, giveBack, err := s.useFamily(ctx)
	if err != nil {
		return false
	}
	defer giveBack()
	return f.who != nil && f.who.Has(pid)
}

// Prove implements [readiness.Kin].
func (s *succession) Prove(ctx context.Context, pid int) error {
	_, _, err := s.prove(ctx, pid)
	return err
}

// prove returns the process pid and all processes of the pod, if it is one of them.
func (s *succession) prove(ctx context.Context, pid int) (id osproc.Identity, members []osproc.Identity, err error) {
	if pid <= 1 {
		return id, nil, fmt.Errorf("%w: no pod has that number", readiness.ErrUnproven)
	}
	apart, err := osproc.IsApart(s.started.PID())
	switch {
	case err != nil:
		return id, nil, err
	case apart:
		return id, nil, fmt.Errorf("%w: the pod has a pid namespace of its own, and that number means another process here: %w", readiness.ErrUnproven, errors.ErrUnsupported)
	}
	id, err = osproc.Prove(pid, func(id osproc.Identity) (err error) {
		members, err = s.members(ctx)
		switch {
		case slices.Contains(members, id):
			return nil
		case err == nil:
			err = fmt.Errorf("%w: %s", readiness.ErrUnproven, s.whyNot(id))
		}
		return err
	})
	if errors.Is(err, osproc.ErrGone) && (s.had(ctx, pid) || s.started.hasExited() && s.wentWell() && s.isDeserted()) {
		return id, nil, errDaemonEnded
	}
	if errors.Is(err, osproc.ErrGone) || errors.Is(err, osproc.ErrThread) {
		err = fmt.Errorf("%w: %w", readiness.ErrUnproven, err)
	}
	return id, members, err
}

// errDaemonEnded says that the process that is to be adopted was of the pod, and has ended.
var errDaemonEnded = fmt.Errorf("%w: that process of the pod has ended", ErrExitedEarly)

// whyNot says what keeps the process from being proven to belong to the pod.
func (s *succession) whyNot(id osproc.Identity) string {
	if id.PID == os.Getpid() || id.PID == os.Getppid() {
		return "it is the program that launches the pod, or the parent of that"
	}
	why := "it is neither in the group or session of the started process, nor descends from it by parents that live; it has not the pod's lock, nor its " + launchVariable
	c, ours := s.started.proc.(child)
	held := ours && c.cgroup != nil
	if held {
		why = fmt.Sprintf("it is not in the pod's cgroup %q", c.cgroup.Path())
	}
	switch first := s.started.first; {
	case first.PID != 0 && id.Start < first.Start:
		why += "; it started before the pod"
	case !held:
		why += "; it goes on running: if it is the pod's, end it, and set Local.Cgroup"
	}
	return why
}

// Adopt implements [readiness.Kin].
func (s *succession) Adopt(ctx context.Context, pid int, from string) error {
	if err := s.adopt(ctx, pid); err != nil {
		who := fmt.Sprintf("pid %d", pid)
		if name := osproc.CommandName(pid); name != "" {
			who += fmt.Sprintf(" (%s)", printable(name, 64))
		}
		switch {
		case errors.Is(err, errDaemonEnded):
			return fmt.Errorf("%w: pid %d, which %s names", err, pid, strings.TrimSpace(from))
		case errors.Is(err, readiness.ErrUnproven):
			err = fmt.Errorf("%w: %w", ErrNotOurs, err)
		}
		return fmt.Errorf("%s names %s: %w", strings.TrimSpace(from), who, err)
	}
	return nil
}

func (s *succession) adopt(ctx context.Context, pid int) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	old := s.main
	switch {
	case s.exited == nil:
		return errors.New("no probe of the launch is a readiness.Adopter that says so")
	case s.over:
		return errors.New("the launch is over")
	case old != nil && old.PID() == pid && !old.hasExited():
		return nil
	}
	id, members, err := s.prove(ctx, pid)
	if err != nil {
		return err
	}
	if pid == s.started.PID() {
		s.main = nil
	} else {
		c := s.started.proc.(child)
		process, err := adoptProcess(id, c.cgroup)
		if err != nil {
			return err
		}
		s.main = s.started.succeedBy(process, id, members)
		s.started.log.Debug("process adopted", "pid", pid, "started", s.started.PID())
	}
	select {
	case s.changed <- struct{}{}:
	default:
	}
	if old != nil {
		old.disown()
	}
	return nil
}

// succeedBy returns the Pod of a process that belongs to p, as the members do, and that
// takes the place of p's own. The caller calls keep or disown.
func (p *Pod) succeedBy(process Process, id osproc.Identity, members []osproc.Identity) *Pod {
	if c, ours := process.(child); ours {
		c.memory = p.proc.(child).memory
		process = c
	}
	next := newPod(p.podConfig, process)
	next.first, next.facts, next.streams, next.origin = id, p.facts, p.streams, p
	f, giveBack := next.useFamily()
	f.who.Add(slices.DeleteFunc(slices.Clone(members), isHidden))
	giveBack()
	return next
}

// disown frees what p, a successor, takes in this program. Its process belongs to the Pod
// that it came from.
func (p *Pod) disown() {
	p.lasts = Detached // the keeper keeps the pod
	close(p.settled)
	p.forget()
	<-p.ended
}

// leave gives the place of p's process to its successor. The Pod's goroutine reaps the
// process when it ends.
func (p *Pod) leave() {
	p.lasts = Detached // the keeper keeps the pod
	close(p.settled)
	if p.hasEnded() {
		receive(p.ended, patience)
	}
}

// end ends the search: no process is adopted any more. It returns the Pod of the first
// process, or of the one whose end makes the launch fail.
func (s *succession) end() *Pod {
	s.mu.Lock()
	over := s.over
	s.over = true
	s.mu.Unlock()
	if !over {
		s.stop()
		<-s.gone
		// The probe may have seen the end before the Pod has.
		if s.lost.Load() == nil && s.started.hasExited() && !s.wentWell() {
			s.lost.Store(s.started)
		}
	}
	if lost := s.lost.Load(); lost != nil {
		return lost
	}
	return s.now()
}

// undo is end for a launch that fails. The Pod of the started process ends all processes
// that it knows. What the adopted process has started may have neither its lock nor its
// mark, but is in its group.
func (s *succession) undo() {
	s.end()
	s.mu.Lock()
	main := s.main
	s.main = nil
	s.mu.Unlock()
	if main == nil {
		return
	}
	if !s.gently || main.hasEnded() {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		_ = main.send(func() error { return main.proc.Signal(ctx, syscall.SIGKILL) })
	}
	main.disown()
}

// isVacant reports whether the process that was started has gone to the background, and no
// other one has taken its place.
func (s *succession) isVacant() bool {
	return s != nil && s.now() == s.started && s.started.hasExited() && s.wentWell()
}

// emptyNote is about a pod whose process has ended as one does that goes to the background.
const emptyNote = "no process of it is left that could take the place of the one that was started"

// unnamedNote is about a pod whose probe is content, and whose first process has gone to the
// background.
const unnamedNote = "the probe has found it ready, and neither MAINPID= nor a pid file has named the process that takes the place of the started one"

// vacantNote is about a pod whose process has gone to the background.
const vacantNote = "the process that was started has gone to the background (exit status 0), and no process has taken its place"
