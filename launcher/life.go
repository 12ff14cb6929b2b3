package launcher

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/google/uuid"
	"github.com/hashicorp/go-hclog"
	"github.com/podlaunch/podlaunch/launcher/internal/osproc"
	"github.com/podlaunch/podlaunch/launcher/internal/ownership"
	"github.com/podlaunch/podlaunch/logsource"
	"github.com/podlaunch/podlaunch/readiness"
)

// The phases of a Pod's life, after its start:
//
//	running → terminating → killing → gone
//	any of the first three → released
//
// Stop and Kill move it to terminating and killing, by an ending, which is the one
// goroutine that ends processes. The Pod's own goroutine (watch) moves it to gone, once
// the process has ended and the ending is over, and to released. From then on nobody is
// signalled: what is being sent just then is waited for first.
type phase int

const (
	running     phase = iota
	terminating       // it was sent its stop signal, and has its grace
	killing           // it was sent SIGKILL
	gone              // it is reaped, or about to be
	released          // it is not watched any more
)

// A life is the part of a Pod that changes.
type life struct {
	mu     sync.Mutex // never held while the Process is called
	phase  phase
	killAt time.Time      // when SIGKILL is due, from terminating on
	ending *ending        // that goes on; nil if none does
	sent   syscall.Signal // to end it, the last one; 0: none
	empty  bool           // an ending has found nobody who is left
	calls  int            // signals that are being sent
	quiet  chan struct{}  // closed once the phase is gone or released, and calls is 0

	// family is who belongs to the process; nil if that cannot be told here. Who has
	// sent on familyUse has it.
	family    *osproc.Family
	familyUse chan struct{}

	hurry   sync.Once
	hurried chan struct{} // closed once somebody wants SIGKILL at once, also for what a gone pod has left
}

// A Pod is a program that was launched and became ready. It outlives the Pod value, the
// context it was launched with, and this program ([Spec.Lifetime] can tie it to this
// program). Its methods may be called from any number of goroutines.
//
// One goroutine and one descriptor belong to a Pod until the process ends or
// [Pod.Release] is called; more with Spec.Stdout, Spec.Stderr, [logsource.File.Keep] or
// WithParent.
type Pod struct {
	podConfig
	endpoint readiness.Endpoint
	facts    *readiness.Facts // nil if another program has launched it
	logFile  logsource.FileID // what logPath led to when the pod was ready; zero if nothing
	private  *privateDir      // that goes with it; nil if it has a name
	origin   *Pod             // whose process was started, and has left its place to this one's; nil: none
	closing  <-chan struct{}  // closed when what the launch has read the log by is; nil if nothing is
	readTo   int64            // how far the launch has read the log, see Offset
	streams  *podStreams      // nil: there are no writers
	forked   bool             // the launch itself has forked proc
	proc     Process
	first    osproc.Identity // of proc; zero until it is recorded, or if it was gone by then
	life     life
	report   reporter // of how it is ended

	watching context.Context    // of the Pod's goroutine: done before ended is closed
	forget   context.CancelFunc // ends watching, and with it the goroutine's wait

	// watch, the Pod's goroutine, closes these in this order; the launch
	// closes settled, once, when it has decided about the pod.
	exited  chan struct{} // the process has ended, and exit or waitErr is set
	settled chan struct{} // nobody of the launch will signal the process any more
	done    chan struct{} // it is reaped, and reapErr is set
	ended   chan struct{} // the goroutine has ended: after done, or by Release

	exit             Exit
	waitErr, reapErr error

	remembering sync.Once
	remembered  <-chan outcome[struct{}] // see remember
}

// A podConfig is what does not change in a Pod's life.
type podConfig struct {
	name    string
	id      uuid.UUID // of its launch
	dir     string
	logPath string
	source  logsource.Source // of its log
	ready   readiness.Probe  // knows who may answer
	grace   time.Duration
	mode    KillMode
	signal  syscall.Signal  // that ends it well
	lasts   Lifetime        // how long
	base    string          // of its name's witnesses
	heirs   ownership.Heirs // who has its lock from it
	log     hclog.Logger

	digests *ownership.Digests // of what was launched; nil if that is not recorded
	asked   asked              // its Launcher
}

// asked returns the digests of what a launch of spec would start, in place of the pod.
type asked func(spec Spec) (*ownership.Digests, error)

// errReleased is what a released Pod answers.
var errReleased = errors.New("the pod was released, and is not watched any more")

// newPod returns the Pod of a process, with what config says of it. The caller
// has to call keep or kill.
func newPod(config podConfig, proc Process) *Pod {
	p := &Pod{
		podConfig: config,
		proc:      proc,
		life:      life{quiet: make(chan struct{}), familyUse: make(chan struct{}, 1), hurried: make(chan struct{})},
		exited:    make(chan struct{}),
		settled:   make(chan struct{}),
		done:      make(chan struct{}),
		ended:     make(chan struct{}),
	}
	p.watching, p.forget = context.WithCancel(context.Background())
	go p.watch()
	return p
}

// watch is the Pod's goroutine: it waits for the process to end, clears away
// what is left of it, and tells everybody.
func (p *Pod) watch() {
	defer close(p.ended)
	defer p.forget()
	p.exit, p.waitErr = p.proc.Wait(p.watching)
	if p.waitErr != nil && p.watching.Err() != nil {
		p.close(released)
		if p.private != nil {
			ownership.LeavePrivate(p.private.name)
		}
		if r, ok := p.proc.(Releaser); ok {
			r.Release()
		}
		return
	}
	p.report.firstEnded()
	close(p.exited)
	<-p.settled
	p.close(gone)
	p.lasts.over(p.id, p.isEmptied()) // before its number can be another's
	bound, cancel := context.WithTimeout(context.Background(), killPatience)
	defer cancel()
	if r, ok := p.proc.(Reaper); ok {
		p.reapErr = r.Reap(bound)
	}
	if p.closing != nil {
		// It was over long ago, unless the filesystem does not answer. Who waits for
		// the end may want to unmount it.
		receive(p.closing, patience)
	}
	if p.private != nil {
		if err := p.private.remove(); err != nil {
			p.log.Warn("not all of a private pod is gone", "error", err)
			p.reapErr = errors.Join(p.reapErr, err)
		}
	}
	p.log.Debug("process is gone", "pid", p.proc.PID(), "exit", p.exit.String())
	close(p.done)
}

// close waits until the ending is over, if one goes on, and moves the Pod to its last
// phase, and then waits until what is being sent was sent. What does not come back from
// that is left to itself.
func (p *Pod) close(last phase) {
	p.life.mu.Lock()
	for p.life.ending != nil {
		e := p.life.ending
		p.life.mu.Unlock()
		<-e.over
		p.life.mu.Lock()
	}
	p.life.phase = last
	if p.life.calls == 0 {
		close(p.life.quiet)
	}
	p.life.mu.Unlock()
	receive(p.life.quiet, killPatience)
	p.report.look(p.firstIdentity())
}

// send calls f, which signals the process, unless nobody may any more.
func (p *Pod) send(f func() error) error {
	p.life.mu.Lock()
	switch p.life.phase {
	case gone:
		p.life.mu.Unlock()
		return os.ErrProcessDone
	case released:
		p.life.mu.Unlock()
		return errReleased
	}
	p.life.calls++
	p.life.mu.Unlock()
	defer func() {
		p.life.mu.Lock()
		defer p.life.mu.Unlock()
		if p.life.calls--; p.life.calls == 0 && p.life.phase >= gone {
			close(p.life.quiet)
		}
	}()
	return f()
}

// sendFirst is called by send.
func (p *Pod) sendFirst(ctx context.Context, sig os.Signal) error {
	if leader, ok := p.proc.(Leader); ok {
		return leader.SignalFirst(ctx, sig)
	}
	return p.proc.Signal(ctx, sig)
}

// firstIdentity is who the first process is, as the report has it: it may be nobody's that
// can be identified.
func (p *Pod) firstIdentity() osproc.Identity {
	if p.first.PID == 0 {
		return osproc.Identity{PID: p.proc.PID()}
	}
	return p.first
}

// hasEnded reports whether the first process has ended.
func (p *Pod) hasEnded() bool {
	return isDone(p.exited)
}

// isEmptied reports whether an ending has found that nobody of the pod is left.
func (p *Pod) isEmptied() bool {
	p.life.mu.Lock()
	defer p.life.mu.Unlock()
	return p.life.empty
}

// isSettled reports whether the launch has decided about p. The name is this launch's until
// then.
func (p *Pod) isSettled() bool {
	return isDone(p.settled)
}

// hasExited looks whether the process has ended by now, and waits until the
// Pod knows it if so.
func (p *Pod) hasExited() bool {
	if p.hasEnded() {
		return true
	}
	if !p.endedByNow() {
		return false
	}
	select {
	case <-p.exited:
	case <-p.watching.Done(): // the goroutine was released before it saw the end
	}
	return true
}

// endedByNow asks the process. A Process of another Starter may ignore the context.
func (p *Pod) endedByNow() bool {
	now, cancel := context.WithCancel(context.Background())
	cancel()
	if _, ours := p.proc.(child); ours {
		_, err := p.proc.Wait(now)
		return err == nil
	}
	o, ok := receive(spawn(func() (Exit, error) { return p.proc.Wait(now) }), patience)
	if o.crash != nil {
		o.crash.pass()
	}
	return ok && o.err == nil
}

// useFamily returns who belongs to p, once nobody else uses that. The caller has to
// call giveBack.
func (p *Pod) useFamily() (f family, giveBack func()) {
	f, giveBack, _ = p.useFamilyBy(context.Background())
	return f, giveBack
}

// useFamilyBy is useFamily, but waits no longer than ctx.
func (p *Pod) useFamilyBy(ctx context.Context) (f family, giveBack func(), err error) {
	select {
	case p.life.familyUse <- struct{}{}: // also if ctx is done
	default:
		select {
		case p.life.familyUse <- struct{}{}:
		case <-ctx.Done():
			return family{}, nil, fmt.Errorf("somebody else is ending what it has left behind: %w", context.Cause(ctx))
		}
	}
	if p.proc.PID() != 0 && p.life.family == nil {
		p.life.family = osproc.NewFamily(p.first, launchVariable+"="+p.id.String())
		p.life.family.SetSince(p.since(), p.forked)
		lock, _ := p.heirs.Lock()
		p.life.family.SetLock(lock, lockDescriptor)
	}
	f = family{proc: p.proc, first: p.first, who: p.life.family}
	if c, ours := p.proc.(child); ours && c.cgroup != nil {
		watched, cancel := context.WithCancel(context.Background())
		emptied := c.cgroup.Emptied(watched)
		f.cgroup, f.emptied = c.cgroup, emptied
		return f, func() {
			cancel()
			<-emptied
			<-p.life.familyUse
		}, nil
	}
	// Once the first process has ended, another pod may own the lock. A process that
	// holds the lock before then has it from this pod. Nobody else ever owns that of a pod
	// without a name.
	if f.who != nil {
		f.who.SetHeirs(func(h osproc.LockHolder) (bool, error) {
			return p.heirs.Has(h) && (p.private != nil || !p.hasExited()), nil
		})
	}
	return f, func() { <-p.life.familyUse }, nil
}

// since returns the process that none of the pod is older than. That is the one that was
// started, if the launch has forked it itself, and else the launcher: what a Starter has made
// may be older than the process that it returns. Zero if that is not known.
func (p *Pod) since() osproc.Identity {
	started := p
	if p.origin != nil {
		started = p.origin
	}
	if started.forked && started.first.PID != 0 {
		return started.first
	}
	_, launcher := p.heirs.Lock()
	return launcher.Identity
}

// An ending is the end of a Pod: its stop signal, its grace, and SIGKILL. All who want
// it wait for the same one.
type ending struct {
	p     *Pod
	mode  KillMode
	over  chan struct{} // closed when it has ended, and err or crash is set
	empty bool          // nobody is left
	err   error
	crash *crash

	begun chan struct{} // closed once the stop signal was sent, or needs not be
	shot  chan struct{} // closed once SIGKILL was sent to the first process, or its group

	came  chan struct{} // somebody has come to wait
	now   chan struct{} // closed, once, if SIGKILL is due now
	hurry sync.Once

	// life.mu guards these.
	waiting int                // who waits
	unwant  context.CancelFunc // ends what is being sent; nil if nothing is

	grace  bool                     // there is one
	sent   map[osproc.Identity]bool // who got the stop signal and is not in the group
	killed []int                    // who got SIGKILL and was not in the group; good once over is closed
}

// begin joins the ending that goes on, or begins one. It returns nil if the Pod is gone
// or released. If now, SIGKILL is due at once. The caller has to call leave.
func (p *Pod) begin(mode KillMode, grace time.Duration, now bool) *ending {
	p.life.mu.Lock()
	defer p.life.mu.Unlock()
	if p.life.phase >= gone {
		return nil
	}
	e := p.life.ending
	if e == nil {
		e = &ending{p: p, mode: mode, over: make(chan struct{}), begun: make(chan struct{}), shot: make(chan struct{}),
			came: make(chan struct{}, 1), now: make(chan struct{}), sent: make(map[osproc.Identity]bool)}
		p.life.ending = e
		go e.run(grace)
	}
	e.waiting++
	select {
	case e.came <- struct{}{}:
	default:
	}
	if now {
		e.hurry.Do(func() { close(e.now) })
	}
	return e
}

// leave says that a caller of begin does not wait any more.
func (e *ending) leave() {
	e.p.life.mu.Lock()
	defer e.p.life.mu.Unlock()
	if e.waiting--; e.waiting == 0 && e.unwant != nil {
		e.unwant()
	}
}

// isOverdue reports whether the grace that somebody has begun is over.
func (p *Pod) isOverdue() bool {
	p.life.mu.Lock()
	defer p.life.mu.Unlock()
	return !p.life.killAt.IsZero() && !time.Now().Before(p.life.killAt)
}

// untilSent waits for the signals that are due, at the most for patience: all of them if kill,
// and else the stop signal. It reports whether the ending is over by then.
func (e *ending) untilSent(kill bool) bool {
	sent := e.begun
	if kill {
		sent = e.shot
	}
	select {
	case <-sent:
	case <-e.over:
	case <-time.After(patience):
	}
	return isDone(e.over)
}

// isWanted reports whether anybody waits.
func (e *ending) isWanted() bool {
	e.p.life.mu.Lock()
	defer e.p.life.mu.Unlock()
	return e.waiting > 0
}

// run is the ending's goroutine. It ends with the process and all who belong to it, or
// with an error, or when the Pod is released.
func (e *ending) run(grace time.Duration) {
	o := <-spawn(func() (struct{}, error) { return struct{}{}, e.end(grace) })
	e.err, e.crash = o.err, o.crash
	e.p.life.mu.Lock()
	e.p.life.ending = nil
	e.p.life.empty = e.empty
	e.p.life.mu.Unlock()
	close(e.over)
}

// end is what run does.
func (e *ending) end(grace time.Duration) error {
	f, giveBack := e.p.useFamily()
	defer giveBack()
	if err := e.terminate(f, grace); err != nil {
		return err
	}
	close(e.begun)
	done, err := e.await(f)
	if !done && err == nil {
		err = e.kill(f)
	}
	if err == nil && e.mode != KillFirst {
		e.empty = f.known() && f.cgroup == nil // the keeper also finds who has left the cgroup
		f.reap()
	}
	return err
}

// terminate sends the stop signal, unless it was sent before, or there is no grace.
func (e *ending) terminate(f family, grace time.Duration) error {
	p := e.p
	p.life.mu.Lock()
	again := p.life.phase != running
	if !again {
		p.life.phase, p.life.killAt = terminating, time.Now().Add(grace)
	}
	if grace < 0 {
		p.life.killAt = time.Now()
	}
	p.life.mu.Unlock()
	e.grace = grace >= 0
	if again || !e.grace {
		return nil
	}
	p.log.Debug("stopping", "pid", p.proc.PID(), "signal", p.signal.String(), "grace", grace)
	var group, others []osproc.Identity
	send := func(ctx context.Context, sig syscall.Signal) error { return p.sendFirst(ctx, sig) }
	// Before anybody is signalled: who has lost his parent is not found any more.
	switch e.mode {
	case KillAll:
		send = func(ctx context.Context, sig syscall.Signal) error { return p.proc.Signal(ctx, sig) }
		var err error
		if group, others, err = f.split(); err != nil {
			return e.back(err)
		}
	case KillMixed: // they get SIGKILL once the first process has ended
		_, _ = f.left() // who could not be found now is looked for again
	}
	if err := e.deliver(send, p.signal, group); err != nil && !f.passes(err) {
		return e.back(err)
	}
	e.signalOthers(others)
	// That it cannot be sent is no error: an engine may have no such signal.
	_ = e.call(func(ctx context.Context) error { return send(ctx, osproc.SIGCONT) })
	return nil
}

// back makes the Pod running again, for err has kept the stop signal from being sent.
func (e *ending) back(err error) error {
	e.p.life.mu.Lock()
	defer e.p.life.mu.Unlock()
	e.p.life.phase = running
	return err
}

// signalOthers sends the stop signal to who is not in the group.
func (e *ending) signalOthers(others []osproc.Identity) { e.p.stopEach(others, e.sent) }

// stopEach sends the stop signal to each of them, and adds them to sent. Who refuses it is
// no reason to leave the others: he is named if he is left in the end.
func (p *Pod) stopEach(ids []osproc.Identity, sent map[osproc.Identity]bool) {
	p.report.about(ids)
	for _, id := range ids {
		sent[id] = true
		at := time.Now()
		if err := osproc.Signal(id, p.signal); err == nil {
			p.report.sent([]osproc.Identity{id}, p.signal, at)
		}
	}
	_ = osproc.SignalEach(ids, osproc.SIGCONT) // a stopped process would not notice
}

// deliver has send send sig to the first process, and to group, those in its group, where
// send does so.
func (e *ending) deliver(send func(context.Context, syscall.Signal) error, sig syscall.Signal, group []osproc.Identity) error {
	return e.call(func(ctx context.Context) error {
		if !e.p.hasEnded() {
			group = append([]osproc.Identity{e.p.firstIdentity()}, group...)
		}
		e.p.report.about(group)
		at := time.Now()
		err := send(ctx, sig)
		if err == nil {
			e.p.life.mu.Lock()
			e.p.life.sent = sig
			e.p.life.mu.Unlock()
			e.p.report.sent(group, sig, at)
		}
		return err
	})
}

// call sends a signal by f. Once nobody wants the signal any more, or the process has
// ended, call waits for f no longer than patience.
func (e *ending) call(f func(context.Context) error) error {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	e.p.life.mu.Lock()
	e.unwant = cancel
	if e.waiting == 0 && !e.p.hasEnded() {
		cancel()
	}
	e.p.life.mu.Unlock()
	sending := spawn(func() (struct{}, error) { return struct{}{}, e.p.send(func() error { return f(ctx) }) })
	var o outcome[struct{}]
	ok := true
	select {
	case o = <-sending:
	case <-ctx.Done():
		o, ok = receive(sending, patience)
	case <-e.p.exited:
		if o, ok = receive(sending, patience); !ok {
			return nil // it has come to its end without it
		}
	case <-e.p.watching.Done():
		if o, ok = receive(sending, patience); !ok {
			return errReleased
		}
	}
	switch {
	case !ok:
		return fmt.Errorf("the starter's Signal has not returned: %w", context.Canceled)
	case o.crash != nil:
		o.crash.pass()
	case errors.Is(o.err, os.ErrProcessDone):
		return nil
	}
	return o.err
}

// await waits until everybody is gone, and reports whether that is so; else SIGKILL is
// due. It is due for the first process only while somebody wants the end: a Stop whose
// context is done has nothing more sent.
func (e *ending) await(f family) (done bool, err error) {
	p := e.p
	p.life.mu.Lock()
	grace := time.NewTimer(time.Until(p.life.killAt))
	p.life.mu.Unlock()
	defer grace.Stop()
	due := false
	for delay := time.Millisecond; ; delay = min(2*delay, 50*time.Millisecond) {
		exited := p.exited
		var look <-chan time.Time
		var emptied <-chan struct{}
		if p.hasEnded() {
			if !f.known() && e.mode != KillFirst {
				return false, nil // it may have left somebody, and who that is cannot be told
			}
			left, err := e.left(f)
			if len(left) == 0 || err != nil {
				return err == nil, err
			}
			exited, look, emptied = nil, time.After(delay), f.emptied
		}
		if p.report.look(p.firstIdentity()) && !due { // the report has when each went, also before the first
			look = time.After(delay)
		}
		if due && (exited == nil || e.isWanted()) {
			return false, nil
		}
		select {
		case <-exited:
		case <-look:
		case <-emptied:
			f.emptied = nil
		case <-grace.C:
			due = true
		case <-e.now:
			return false, nil
		case <-e.came:
		case <-p.watching.Done():
			return false, errReleased
		}
	}
}

// left returns who is left now that the first process has ended. Who is new gets the
// stop signal.
func (e *ending) left(f family) ([]osproc.Identity, error) {
	if e.mode == KillFirst {
		return nil, nil
	}
	left, err := f.left()
	if err != nil || e.mode != KillAll || !e.grace {
		return left, err
	}
	e.signalOthers(slices.DeleteFunc(slices.Clone(left), func(id osproc.Identity) bool {
		return e.sent[id] || osproc.IsInGroup(id, e.p.proc.PID())
	}))
	return left, nil
}

// kill sends SIGKILL to all who belong, or to the first process alone, and waits until
// they are gone: for the first process as long as that takes, and for the others for a
// moment.
func (e *ending) kill(f family) error {
	p := e.p
	p.life.mu.Lock()
	p.life.phase = killing
	p.life.mu.Unlock()
	var group, others []osproc.Identity
	send := func(ctx context.Context, sig syscall.Signal) error { return p.proc.Signal(ctx, sig) }
	if e.mode == KillFirst {
		send = func(ctx context.Context, sig syscall.Signal) error { return p.sendFirst(ctx, sig) }
	} else {
		var err error
		if group, others, err = f.split(); err != nil { // before the tree falls apart
			return err
		}
	}
	if err := e.deliver(send, syscall.SIGKILL, group); err != nil && !f.passes(err) {
		return err
	}
	close(e.shot)
	var end time.Time
	var refused error
	// A process that is alone ends in a moment, and then there is one look fewer.
	alone := len(group)+len(others) <= 1
	for delay := time.Millisecond; ; delay, alone = min(2*delay, 50*time.Millisecond), false {
		ended := p.hasEnded()
		var left []osproc.Identity
		if e.mode != KillFirst && (ended || !alone) {
			at := time.Now()
			var err error
			if left, err = f.kill(); err != nil && len(left) == 0 {
				return err
			}
			refused = err // by some of those who are left
			e.noteEnded(left)
			p.report.killed(left, at, err)
		}
		p.report.look(p.firstIdentity())
		exited, look := p.exited, time.After(delay)
		var emptied <-chan struct{}
		switch {
		case ended && len(left) == 0:
			return nil
		case ended && end.IsZero():
			end = time.Now().Add(killPatience)
		case ended && time.Now().After(end):
			return stillThere(left, refused)
		case !ended && !alone && len(left) <= 1: // the first one alone: there is an event for it
			look = nil
		}
		if ended {
			exited, emptied = nil, f.emptied
		}
		select {
		case <-exited:
		case <-look:
		case <-emptied:
			f.emptied = nil
		case <-p.watching.Done():
			return errReleased
		}
	}
}

// noteEnded notes who of those that got SIGKILL was not in the group.
func (e *ending) noteEnded(left []osproc.Identity) {
	for _, id := range left {
		if !isHidden(id) && id.PID != e.p.proc.PID() && !osproc.IsInGroup(id, e.p.proc.PID()) && !slices.Contains(e.killed, id.PID) {
			e.killed = append(e.killed, id.PID)
		}
	}
	slices.Sort(e.killed)
}

// stillThere says who has not ended. refused is why SIGKILL was not sent to some of them; nil
// if all got it.
func stillThere(left []osproc.Identity, refused error) error {
	var who []string
	for _, id := range left {
		if isHidden(id) {
			who = append(who, "some in its cgroup that cannot be seen from here")
			continue
		}
		who = append(who, fmt.Sprintf("%d (%s)", id.PID, strings.Join(notEmpty(osproc.CommandName(id.PID), osproc.Hindrance(id.PID)), "; ")))
	}
	if refused != nil {
		return fmt.Errorf("processes [%s], which belong to it, are still there: %w", strings.Join(who, ", "), refused)
	}
	return fmt.Errorf("processes [%s], which belong to it, are still there although they were sent SIGKILL", strings.Join(who, ", "))
}

// notEmpty returns those of texts that say something.
func notEmpty(texts ...string) []string {
	return slices.DeleteFunc(texts, func(s string) bool { return s == "" })
}

// kill ends all of a pod that did not become ready, after a grace; not positive: at
// once. It returns who was not in its group and got SIGKILL. Its error says what could
// not be ended.
func (p *Pod) kill(grace time.Duration) (killed []int, err error) {
	if grace <= 0 {
		grace = -1
	}
	e := p.begin(KillAll, grace, false)
	leave := sync.OnceFunc(e.leave)
	defer leave()
	close(p.settled)
	_, over := receive(e.over, withGrace(grace, killPatience))
	if !over {
		leave() // what is still being sent ends, and says why
		_, over = receive(e.over, patience)
	}
	if over {
		wait := killPatience
		killed = e.killed
		switch {
		case e.crash != nil:
			e.crash.pass()
		case e.err != nil:
			err, wait = e.err, patience // it was not told to go, but may be going
		}
		if _, ended := receive(p.done, wait); ended {
			return killed, errors.Join(e.err, p.reapErr)
		}
	}
	who := "its process"
	if p.proc.PID() != 0 {
		who = fmt.Sprintf("process %d", p.proc.PID())
	}
	ended := p.hasEnded() && p.waitErr == nil
	switch {
	case ended && err == nil:
		return killed, fmt.Errorf("%s has ended, but it took too long to find out whether anybody is left of it, and to clear up", who)
	case ended:
		return killed, fmt.Errorf("%s has ended; %w", who, err)
	case err == nil:
		late := fmt.Sprintf("it has not gone within %v of SIGKILL", killPatience)
		err = errors.New(strings.Join(notEmpty(late, osproc.Hindrance(p.proc.PID())), "; "))
	}
	return killed, fmt.Errorf("%s may still be running: %w", who, err)
}
