package ownership

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/google/uuid"

	"github.com/podlaunch/podlaunch/launcher/internal/osproc"
)

// A Claim is the right to launch the pod: both locks are ours. That of a private pod has
// no launch lock, and writes no record.
type Claim struct {
	place       *Place
	launch, pod *lock
	record      Record  // what is known of the pod
	overlay     *status // of the file that holds the overlay; nil if there is none

	clear func(context.Context) error // removes what is kept of a private pod; nil: it has a record

	// Ended are those whom an earlier pod had left behind, and who were sent a signal.
	Ended []osproc.Identity
}

// How long is waited between two looks at a lock that another holds.
const (
	firstLook = time.Millisecond
	lastLook  = 50 * time.Millisecond
)

// ErrAnother says that the record is of another launch, or gone.
var ErrAnother = errors.New("the name is another launch's, or nobody's")

// pauseAfter returns the pause that follows one of d.
func pauseAfter(d time.Duration) time.Duration { return min(d*3/2, lastLook) }

// ending is how long holders of the name who are about to end, or whom nobody sees,
// may take. A process that has closed its descriptors is not seen any more, and lets go
// of its locks a moment later.
const ending = time.Second

// Claim waits until nobody has the name, and takes it. It returns a
// [*RunningError] as soon as the pod runs; a [*HeldError] at once if processes that a
// pod left behind hold the name, and are not to be ended ([Place.Reclaim]); and a
// HeldError wrapping ctx's cause if ctx is done before.
//
// What a launcher left behind that died in the middle of a launch is ended
// first, with SIGKILL: the process that is recorded, if it is proven to be that
// one, and every process that holds the pod lock and is proven to come of that
// launch. Without a record nobody is ended.
//
// The error wraps [ErrUnclear] if the record cannot be believed, [ErrNotOursAlone] if
// others may write to the base, and [runtimedir.ErrUnavailable] if no lock can be
// made there.
func (p *Place) Claim(ctx context.Context) (*Claim, error) {
	if err := p.checkBase(); err != nil {
		return nil, err
	}
	w := waiter{place: p, reclaim: reclaim{told: p.Signalled, givenUp: p.GivenUp}}
	defer w.release()
	for delay := firstLook; ; delay = pauseAfter(delay) {
		claim, err := w.try(ctx)
		late := ctx.Err() != nil && errors.Is(err, context.Cause(ctx)) // it has looked for too long
		if claim != nil || err != nil && !late {
			return claim, err
		}
		if late || !pause(ctx, delay) {
			return nil, w.held(ctx)
		}
		if w.left { // not by the clock, for this process may have been stopped
			w.waited += delay
		}
	}
}

// A waiter waits for a name.
type waiter struct {
	place     *Place
	launch    *lock               // the launch lock; nil if we do not have it
	launching bool                // a launcher had the name at the last look
	holders   []osproc.LockHolder // who held the pod lock then
	left      bool                // they are about to end, or cannot be seen
	waited    time.Duration       // how long we have waited for those
	reclaim   reclaim
	family    *osproc.Family // of an abandoned launch; nil: there was none yet
	abandoned uuid.UUID      // that launch
}

// held returns the error of a wait that has taken too long. If the launch lock is
// held, and not by the process that took it, then its launcher is dead: a child that
// it has forked, and that has not come to an exec, keeps the name.
func (w *waiter) held(ctx context.Context) error {
	if w.launching && w.launch == nil {
		holders, launching, err := w.place.holders(ctx, w.place.launchName(), uuid.Nil)
		if err == nil && !launching && len(holders) > 0 {
			return newHeldError(holders, false, context.Cause(ctx))
		}
	}
	e := newHeldError(w.holders, w.launching, context.Cause(ctx))
	e.Signalled = len(w.reclaim.sent) > 0
	return e
}

// release gives the launch lock back, if we have it.
func (w *waiter) release() {
	if w.launch != nil {
		w.launch.unlock()
		w.launch = nil
	}
}

// try takes the name. It returns neither a claim nor an error if it has to be tried
// again.
func (w *waiter) try(ctx context.Context) (*Claim, error) {
	p := w.place
	if err := p.checkOf(); err != nil {
		return nil, err
	}
	if w.launch == nil {
		launch, err := tryLock(p.base, p.launchName(), false) // if it is not the right one, the pod lock keeps others away
		switch {
		case err == errBusy:
			w.launching, w.holders, w.left = true, nil, false
			if r, err := p.running(); err == nil {
				return nil, &RunningError{r}
			}
			return nil, nil
		case err != nil:
			return nil, err
		}
		w.launch = launch
		if err := p.checkOf(); err != nil { // a launch may have come and gone since we looked
			return nil, err
		}
	}
	pod, err := tryLock(p.base, p.podName(), true)
	switch {
	case err == nil:
		return w.take(pod)
	case err == errBusy:
		return nil, w.wait(ctx)
	}
	return nil, err
}

// checkOf returns ErrAnother if Place.Of is set, and the record is not of that launch. Another
// error says that the record cannot be read now.
func (p *Place) checkOf() error {
	if p.Of == uuid.Nil {
		return nil
	}
	r, err := p.running()
	switch {
	case isPassing(err):
		return err
	case r.Launch != p.Of:
		return ErrAnother
	}
	return nil
}

// take takes the name, with both locks held, unless the record proves that the pod
// runs all the same.
func (w *waiter) take(pod *lock) (claim *Claim, err error) {
	defer func() {
		if claim == nil {
			pod.unlock()
		}
	}()
	p := w.place
	r, state := p.running()
	if state != nil && w.isAbandoned(r, state) {
		w.holders = nil // we have the lock
		if over, err := w.endAbandoned(r); !over || err != nil {
			return nil, err
		}
	}
	switch {
	case state == nil:
		return nil, &RunningError{r}
	case errors.Is(state, ErrNotReady):
		// It has dropped its lock, and its launcher is dead, for we have that
		// one's locks: nobody will make it ready.
		if err := p.end(&r); !errors.Is(err, osproc.ErrGone) {
			return nil, err // nil: it may take a moment
		}
	case !NoWitness(state):
		return nil, state // it may well run
	}
	left, empty, err := p.clearCgroup(r, state, &w.reclaim, w.waited < ending)
	if !empty || err != nil {
		w.launching, w.holders, w.left = false, left, len(left) == 0
		return nil, err
	}
	if !isMissing(state) && !p.KeepRecord {
		err = p.base.remove(p.recordName())
	}
	if r.Version < 3 || r.Overlay { // else it says that there is none
		err = errors.Join(err, p.removeOverlay())
	}
	if err != nil {
		return nil, err
	}
	claim = &Claim{place: p, launch: w.launch, pod: pod, Ended: w.reclaim.signalled()}
	w.launch = nil
	return claim, nil
}

// wait looks at the holders of the pod lock, while the launch lock is ours. It ends the
// processes that a dead launcher has left behind. It returns nil if the name may come free.
//
// It reads the record before and after it asks whether a launcher holds the lock. If the
// record was not ready both times, and of the same launch, no launcher was at work.
func (w *waiter) wait(ctx context.Context) error {
	p := w.place
	before, state := p.running()
	if state == nil {
		return &RunningError{before}
	}
	holders, launching, err := p.holders(ctx, p.podName(), before.Launch)
	if err != nil {
		return err
	}
	w.holders, w.launching, w.left = holders, launching, false
	if launching {
		// The file of the launch lock was deleted under a launcher that lives: we
		// have another one, and it has the pod lock.
		return nil
	}
	r, state := p.running()
	if state != nil && r.same(&before) && w.isAbandoned(r, state) {
		if over, err := w.endAbandoned(r); !over || err != nil {
			return err
		}
	}
	switch {
	case state == nil:
		return &RunningError{r}
	case !r.same(&before):
		return nil
	case errors.Is(state, ErrNotReady):
		if err := p.end(&r); err != nil && !errors.Is(err, osproc.ErrGone) {
			return err
		}
		return nil
	case !NoWitness(state):
		return state
	case r.Version != 0 && !r.Ready && !errors.Is(state, osproc.ErrElsewhere):
		if err := killCgroup(r); err != nil {
			return err
		}
		if len(heirs(r.Launcher, w.holders)) > 0 { // also if they have just gone: we look again
			_, err := r.Launcher.endHeirs(w.holders)
			return err
		}
	}
	return w.leave(r, state)
}

// isAbandoned reports whether r was never ready and its launcher is dead, so that something may
// be left of the launch; or whether the pod is gone, and somebody wants the end of all of it.
// state is what Running has said of r.
func (w *waiter) isAbandoned(r Record, state error) bool {
	p := w.place
	isGone := r.Ready && osproc.ProvesEnd(state) && !errors.Is(state, osproc.ErrRestarted)
	switch {
	case r.Version == 0 || r.Elsewhere:
		return false
	case r.IsAbandoned(state):
	case isGone && p.Reclaim == ReclaimAll && p.EndMarked != nil && p.EndMarked(r):
	default:
		return false
	}
	if isOurs(r.PID) {
		return false
	}
	from, err := p.copiedFrom(r)
	return from == "" && err == nil
}

// endAbandoned ends what is left of r: its process and all that belongs to that, and who has the
// lock from it. It reports whether nobody is left. While the process lives it finds all of them,
// and remembers them. They have a grace, but a launch does not wait that long.
func (w *waiter) endAbandoned(r Record) (over bool, err error) {
	grace := w.place.Grace
	if w.place.Reclaim != ReclaimAll {
		grace = -1
	}
	if w.family == nil || w.abandoned != r.Launch { // and another grace begins
		w.abandoned, w.reclaim.killAt = r.Launch, time.Now().Add(grace)
		w.family = osproc.NewFamily(r.Identity, LaunchVariable+"="+r.Launch.String())
		w.family.SetSince(r.Launcher.Identity, false)
		if there, err := w.place.base.lstat(w.place.podName()); err == nil {
			w.family.SetLock(w.place.lockFile(w.place.podName(), there), LockDescriptor)
		}
	}
	ids, err := w.family.Left(context.Background(), r.Identity.Check() == nil)
	if errors.Is(err, errors.ErrUnsupported) {
		return true, nil // the rest does what can be done
	}
	if err != nil {
		return false, err
	}
	left := heirs(r.Launcher, staying(w.holders))
	for _, id := range ids {
		if !isOurs(id.PID) && !slices.ContainsFunc(left, func(h osproc.LockHolder) bool { return h.Identity == id }) {
			left = append(left, osproc.LockHolder{Identity: id})
		}
	}
	if len(left) == 0 {
		return true, nil
	}
	w.launching, w.holders, w.left = false, left, false
	return false, w.reclaim.end(left, r, grace, w.place.Hurry)
}

// end ends those who have the lock from the pod of r, or are it, with a grace.
func (w *waiter) end(left []osproc.LockHolder, r Record) error {
	return w.reclaim.end(left, r, w.place.Grace, w.place.Hurry)
}

// leave deals with holders that are no leftovers of a launch. If Place.Reclaim says so, it
// ends the pod, and the processes that have the lock from it; otherwise these stay. It
// waits for the other holders: a process that is ending because of a signal, and a child
// of any program that has not come to its exec yet. While it waits, others may look, too.
func (w *waiter) leave(r Record, state error) error {
	stay := staying(w.holders)
	if w.place.mayEnd(r, state) {
		if left := heirs(r.Launcher, stay); len(left) > 0 {
			return w.end(left, r)
		}
		// A holder that cannot be seen may be in the cgroup, which finds it all the same.
		left, empty, err := w.place.clearCgroup(r, state, &w.reclaim, true)
		if !empty || err != nil {
			w.launching, w.holders, w.left = false, left, len(left) == 0
			return err
		}
	}
	if w.left = len(w.holders) == 0 || anyGiven(w.holders); len(stay) > 0 || w.left && w.waited >= ending {
		return errStays(w.holders, state, r)
	}
	w.release()
	return nil
}

// holders returns who holds the lock called name, and whether one of them is a
// launcher: a launcher has taken the lock, a pod has inherited it. launch is as in look.
func (p *Place) holders(ctx context.Context, name string, launch uuid.UUID) (holders []osproc.LockHolder, launching bool, err error) {
	there, err := p.base.lstat(name)
	if err != nil {
		if isMissing(err) {
			err = nil
		}
		return nil, false, err
	}
	holders, err = p.look(ctx, p.lockFile(name, there), launch)
	for _, h := range holders {
		launching = launching || h.Took()
	}
	return holders, launching, err
}

// end sends SIGKILL to the process of r, which a launcher that died has left behind,
// and its group. The error wraps osproc.ErrGone if there is nobody.
func (p *Place) end(r *Record) (err error) {
	what := fmt.Sprintf("pid %d", r.PID)
	switch {
	case r.Elsewhere:
		what = fmt.Sprintf("what launch %v started", r.Launch)
		err = p.Elsewhere.End(*r) // which has said that it is alive
	case isOurs(r.PID):
		return p.unclear(fmt.Errorf("it names this program, or its parent, as a pod that its launcher left behind (pid %d)", r.PID), removeIt)
	default:
		if err = osproc.KillGroup(r.Identity); err == nil {
			err = killCgroup(*r)
		}
	}
	if err != nil && !errors.Is(err, osproc.ErrGone) {
		err = fmt.Errorf("end %s, which a launcher that died has left behind: %w", what, err)
	}
	return err
}

// NoWitness reports whether the error of Running says that the record does not prove any
// process to be alive. Every other error, except ErrNotReady, says that Running cannot tell.
func NoWitness(err error) bool {
	for _, reason := range []error{ErrNoRecord, osproc.ErrGone, osproc.ErrStranger, osproc.ErrElsewhere} {
		if errors.Is(err, reason) {
			return true
		}
	}
	return false
}

// Base returns the base directory.
func (c *Claim) Base() string { return c.place.base.path }

// Heirs returns those of the pod that is launched with the Claim. It is good also when
// that is over.
func (c *Claim) Heirs() Heirs {
	by, err := self()
	if err != nil {
		return Heirs{} // nothing was started, see Intend
	}
	return Heirs{c.place.lockFile(c.place.podName(), c.pod.was), by}
}

// File is the pod lock, for the pod to inherit.
func (c *Claim) File() *os.File { return c.pod.asFile() }

// note writes down, before it is started, what is kept of a private pod.
func (c *Claim) note(i Intent) error {
	if i.Cgroup == "" {
		return nil // Private has written down the rest
	}
	path, err := encodeText(i.Cgroup)
	if err != nil {
		return err
	}
	data, err := json.Marshal(privateNote{i.Launcher, i.Launch, path})
	if err != nil {
		return err
	}
	f := c.pod.asFile()
	if _, err = f.WriteAt(data, 0); err != nil {
		err = errors.Join(err, f.Truncate(0)) // what is half written tells nothing
	}
	return err
}

// Intend writes down what is about to be started, before it is. A launch that finds
// the record knows by it what a launcher that was killed has left. It may be called until
// Abandon or Settle.
func (c *Claim) Intend(i Intent) error {
	owner, err := self()
	if err != nil {
		return err
	}
	i.Launcher, i.Overlay = owner, c.overlay != nil
	c.record = Record{Intent: i}
	if c.place.private {
		return c.note(i)
	}
	// There is no record: the claim has removed it. If both locks were deleted since,
	// and another launcher has claimed the name, one of the two finds the record of the
	// other here, or finds in add that its own was removed.
	if err = c.place.write(c.record); errors.Is(err, fs.ErrExist) {
		err = fmt.Errorf("another launch has written its record since the name was claimed: %w", err)
	}
	return err
}

// Start adds to the record which process was started, and the digests, which may be nil.
func (c *Claim) Start(id osproc.Identity, d *Digests) error {
	c.record.Identity, c.record.Digests = id, d
	return c.add(started{id, d})
}

// Ready adds to the record that the pod is ready.
func (c *Claim) Ready(a Answer) error {
	c.record.Answer = a
	var err error
	if a.Address, err = encodeText(a.Address); err != nil {
		return err
	}
	return c.add(a)
}

// Succeed records that the pod is ready, that its process is the one with the Identity, and
// the digests, which may be nil. That takes the place of what Start has added. A reader finds
// the record as it was before, or all of the new one.
func (c *Claim) Succeed(id osproc.Identity, d *Digests, a Answer) error {
	c.record.Identity, c.record.Digests, c.record.Answer = id, d, a
	if c.place.private {
		return c.place.mayWrite()
	}
	err := c.place.replace(c.record)
	if errors.Is(err, errNotWritten) {
		return c.rewrite()
	}
	return err
}

// Started reports whether a process is recorded.
func (c *Claim) Started() bool { return c.record.started() }

// Forget removes the record.
func (c *Claim) Forget() error {
	if c.place.private {
		return nil
	}
	return c.place.remove()
}

// add adds to the record. It writes a record again that was deleted or replaced.
func (c *Claim) add(object any) error {
	if c.place.private {
		return c.place.mayWrite()
	}
	err := c.place.add(object)
	if errors.Is(err, errNotWritten) {
		return c.rewrite()
	}
	return err
}

// rewrite writes the record as a whole, in place of what is there.
func (c *Claim) rewrite() error {
	if err := c.check(); err != nil {
		return err
	}
	if err := c.place.base.remove(c.place.recordName()); err != nil {
		return err
	}
	if err := c.place.mayWrite(); err != nil {
		return err
	}
	return c.place.write(c.record)
}

// AskBefore has may called just before each addition to the record is written, when
// nothing else is left that may take long. An error of it keeps the record as it is.
func (c *Claim) AskBefore(may func() error) { c.place.may = may }

// check makes sure that the name is still ours. Somebody may have cleaned the
// files away that we have locked; either of them keeps others from the name. Or somebody has
// moved the base, and others find another one by its path.
func (c *Claim) check() error {
	held, err := c.isHeld(c.place.base.lstatByPath)
	if held || err != nil {
		return err
	}
	if held, err = c.isHeld(c.place.base.lstat); held {
		return fmt.Errorf("the base directory %q was moved while the launch had the name there, and the name may be another's now", c.place.base.path)
	}
	return cmp.Or(err, errDeleted)
}

// isHeld reports whether one of the locks is the file of its name.
func (c *Claim) isHeld(lstat func(name string) (status, error)) (bool, error) {
	for _, l := range []*lock{c.launch, c.pod} {
		same, err := l.isAt(lstat)
		if same || err != nil && !errors.Is(err, errNotRegular) { // that is somebody else's, too
			return same, err
		}
	}
	return false, nil
}

// errDeleted says that a Claim is none any more.
var errDeleted = errors.New("both locks were deleted while they were held, and the name may be another's now")

// Abandon gives the name back when no process was started, or the process has gone. It
// ends the Claim. Processes that a failed pod has left behind, and that hold the pod
// lock, are sent SIGKILL first, and returned. Once ctx is done, the error names those
// that are left; the record stays, and the next launch ends them. The directory of a
// private pod is removed.
//
// The pod lock is ours until nobody of the launch is left. So nobody else can have
// taken it, and all holders have it from us.
func (c *Claim) Abandon(ctx context.Context, started bool) (ended []osproc.Identity, err error) {
	defer c.place.Close()
	defer c.launch.unlock()
	defer LeavePrivate(c.place.name)
	overlayErr := c.RemoveOverlay()
	if started {
		if ended, err = c.endHeirs(ctx); err == nil {
			err = c.confirmAlone(ctx)
		}
		if err != nil {
			c.pod.drop()
			return ended, errors.Join(err, overlayErr)
		}
	}
	if c.clear != nil {
		err = c.clear(ctx)
	} else if err = c.place.remove(); err != nil {
		err = fmt.Errorf("remove the record: %w", err)
	}
	c.pod.unlock() // also for a child of somebody else's that has a copy
	return ended, errors.Join(err, overlayErr)
}

// endHeirs ends the processes that have the pod lock from us.
func (c *Claim) endHeirs(ctx context.Context) (ended []osproc.Identity, err error) {
	owner, err := self()
	if err != nil {
		return nil, nil // and so nothing was started: see Intend
	}
	for delay := firstLook; ; delay = pauseAfter(delay) {
		holders, err := c.place.look(ctx, c.place.lockFile(c.place.podName(), c.pod.was), c.record.Launch)
		if err != nil {
			return ended, err
		}
		killed, err := owner.endHeirs(holders)
		ended = addNew(ended, killed)
		if len(killed) == 0 || err != nil {
			return ended, err
		}
		if !pause(ctx, delay) {
			return ended, newHeldError(heirs(owner, holders), false, context.Cause(ctx))
		}
	}
}

// confirmAlone makes sure that nobody has the pod lock from us, where an unlock leaves the
// copies of others as they are. It closes our copy and takes the lock anew, which shows that
// there is no other: nobody else takes the lock as long as we have the launch lock, and that
// of a private pod only a Sweep takes, for a moment. A process that is being ended may take
// its time, so confirmAlone tries until ctx is done.
func (c *Claim) confirmAlone(ctx context.Context) error {
	if unlockFreesCopies {
		return nil
	}
	c.pod.drop()
	c.pod = nil
	for delay := firstLook; ; delay = pauseAfter(delay) {
		l, err := tryLock(c.place.base, c.place.podName(), true)
		if err == nil {
			c.pod = l
		}
		if err != errBusy {
			return err
		}
		if !pause(ctx, delay) {
			return newHeldError(nil, false, context.Cause(ctx))
		}
	}
}

// pause waits for d, and reports whether ctx is still good.
func pause(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return ctx.Err() == nil
	case <-ctx.Done():
		return false
	}
}

// Settle leaves the name to the process that was started. It ends the Claim; Close
// frees the rest.
func (c *Claim) Settle() {
	c.pod.drop()
	if c.launch != nil {
		unlockFD(c.launch.fd)
	}
}

// Close frees what a Claim holds that was settled. There is no hurry.
func (c *Claim) Close() {
	c.launch.drop()
	c.place.Close()
}

// RemoveOverlay removes the file that WriteOverlay has made, if it did, and if
// nobody has put another in its place. When that fails it can be tried again.
func (c *Claim) RemoveOverlay() error {
	if c.overlay == nil {
		return nil
	}
	there, err := c.place.base.lstat(OverlayName(c.place.name))
	switch {
	case errors.Is(err, fs.ErrNotExist):
		err = nil
	case err == nil && there.same(*c.overlay):
		err = c.place.removeOverlay()
	}
	if err != nil {
		return fmt.Errorf("the overlay is still in the file %q: %w", filepath.Join(c.place.base.path, OverlayName(c.place.name)), err)
	}
	c.overlay = nil
	return nil
}
