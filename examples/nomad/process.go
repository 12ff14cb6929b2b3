package nomad

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/cenkalti/backoff/v4"

	"github.com/podlaunch/podlaunch/launcher"
)

// A process is a job with its one allocation.
//
// One goroutine belongs to it, which registers the job and then follows what
// becomes of it, by the [watch] that all pods of the Engine share. It ends when the
// allocation is terminal, when it cannot be followed any more, or by Release. One
// that was found has none until somebody waits for it. What the engine was to be
// told and did not hear, because it was away, the goroutine tells it later.
type process struct {
	Starter
	job    string
	ctx    context.Context    // of the goroutine
	cancel context.CancelFunc // ends it
	begin  func()             // begins it, once

	registered chan struct{} // closed by the goroutine: the engine has answered, or never will
	running    chan struct{} // closed by it: the program runs
	done       chan struct{} // closed by it, last: exit and err are set
	refused    chan struct{} // gets one when a request for the job was in vain
	nudge      chan struct{} // gets one when the engine is to be told something

	exit launcher.Exit
	err  error

	mu    sync.Mutex
	alloc allocation // as last heard of; without an ID if there is none yet
	told  bool       // that it runs
	made  bool       // the job is registered, or may be
	heard bool       // a request for it was under way whose answer never came
	why   error      // the last answer to one
	body  jobMap     // of the job, as registered
	index uint64     // of that
	held  bool       // it is bound to its node
	claim claim      // of its name on the cluster; zero if there is none

	ending, ended bool   // the job is to be deregistered, and is
	evaluation    string // of that, once it is
	asking        bool   // somebody is at it
	killing       bool   // the program is to get SIGKILL
}

var (
	_ launcher.Process  = (*process)(nil)
	_ launcher.Reaper   = (*process)(nil)
	_ launcher.Releaser = (*process)(nil)
)

// newProcess returns one whose goroutine is to run f.
func newProcess(s Starter, job string, f func(*process) (launcher.Exit, error)) *process {
	p := &process{
		Starter: s, job: job,
		registered: make(chan struct{}), running: make(chan struct{}), done: make(chan struct{}), refused: make(chan struct{}, 1), nudge: make(chan struct{}, 1),
	}
	p.ctx, p.cancel = context.WithCancel(context.Background())
	p.begin = sync.OnceFunc(func() {
		go func() {
			defer close(p.done)
			defer p.cancel()
			p.exit, p.err = f(p)
		}()
	})
	return p
}

// start is the goroutine of a job that is to be registered.
func (p *process) start(body jobMap, sub *subscription) (launcher.Exit, error) {
	defer sub.close()
	r, unsure, err := p.register(body)
	p.mu.Lock()
	p.made = err == nil || unsure
	p.index = r.JobModifyIndex
	p.mu.Unlock()
	close(p.registered)
	if err != nil && !unsure {
		return launcher.Exit{}, err
	}
	if r.EvalID != "" {
		v, err := p.Engine.evaluated(p.ctx, r.EvalID)
		switch {
		case err == nil && (len(v.FailedTGAllocs) > 0 || v.Status == "failed"):
			return launcher.Exit{}, fmt.Errorf("%w: %s", ErrNoRoom, v.words())
		case errors.Is(err, ErrForbidden):
			return launcher.Exit{}, err
		}
	}
	return p.follow(sub)
}

// adopted is the goroutine of a job that was registered before.
func (p *process) adopted() (launcher.Exit, error) {
	if err := context.Cause(p.ctx); err != nil {
		return launcher.Exit{}, err // it was released, and nobody has waited for it
	}
	sub := p.Engine.subscribe(p.job)
	defer sub.close()
	return p.follow(sub)
}

// register asks for the job until there is an answer: to ask twice for the same
// job is to ask for it once. unsure is true if there was none in the end, and the
// engine may have heard all the same.
func (p *process) register(body jobMap) (r registration, unsure bool, err error) {
	for delay := newDelay(); ; {
		p.asked(body, true, nil)
		ctx, cancel := context.WithTimeoutCause(p.ctx, callPatience, errNoAnswer)
		r, err = p.Engine.register(ctx, body, 0)
		cancel()
		switch {
		case err == nil:
			return r, false, nil
		case !passing(err) && errors.As(err, new(*StatusError)):
			if _, both := body["TaskGroups"].([]any)[0].(map[string]any)["MaxClientDisconnect"]; both && strings.Contains(err.Error(), "disconnect") {
				body = body.withoutDisconnect() // a later engine, which takes the other alone
				continue
			}
			return r, false, fmt.Errorf("%w: %w", ErrRefused, err)
		case !passing(err), isDial(err) && !unsure:
			return r, false, err
		}
		unsure = unsure || !errors.Is(err, ErrBusy) && !strings.Contains(err.Error(), "No cluster leader")
		p.asked(body, unsure, err)
		if p.isEnding() || !pause(p.ctx, delay.NextBackOff()) {
			return r, unsure, err
		}
	}
}

// asked takes note of how far the registration is.
func (p *process) asked(body jobMap, heard bool, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.body, p.heard = body, heard
	if err != nil {
		p.why = err
		select {
		case p.refused <- struct{}{}:
		default:
		}
	}
}

// never returns why the engine has not taken the job, if it has not heard of it for
// certain. A request that is under way it waits for, for a moment.
func (p *process) never() error {
	moment := time.NewTimer(300 * time.Millisecond)
	defer moment.Stop()
	for {
		p.mu.Lock()
		heard, why := p.heard, p.why
		p.mu.Unlock()
		if !heard {
			return why
		}
		select {
		case <-p.refused:
		case <-p.registered:
			return nil
		case <-moment.C:
			return nil
		}
	}
}

// isDial reports whether nobody can have heard what was said.
func isDial(err error) bool {
	var op *net.OpError
	return errors.As(err, &op) && op.Op == "dial"
}

// follow returns how the allocation ended, once it has.
func (p *process) follow(sub *subscription) (launcher.Exit, error) {
	for delay := newDelay(); ; {
		again := p.tell(p.ctx)
		all, complete, err := sub.look()
		before := p.last()
		switch {
		case p.ctx.Err() != nil:
			return launcher.Exit{}, context.Cause(p.ctx)
		case err != nil:
			return launcher.Exit{}, err
		case before.ID != "" && complete && !slices.ContainsFunc(all, func(a allocation) bool { return a.ID == before.ID }):
			return launcher.Exit{}, fmt.Errorf("%w: it does not know the allocation %s of the job %s", ErrLost, before.ID, p.job)
		case len(all) == 0:
			none, err := p.nothing(p.ctx)
			if none {
				return launcher.Exit{}, nil
			}
			again = again || err != nil
		default:
			p.hear(first(all))
			if err := moved(all); err != nil {
				return launcher.Exit{}, err
			}
			if a := first(all); a.away() || a.terminal() {
				return p.fate(a)
			}
		}
		p.rest(sub, delay, again)
	}
}

// rest waits until there is something to look at, or to tell; if again, not for long.
func (p *process) rest(sub *subscription, delay *backoff.ExponentialBackOff, again bool) {
	var soon <-chan time.Time
	if again {
		soon = time.After(delay.NextBackOff())
	} else {
		delay.Reset()
	}
	select {
	case <-sub.news:
	case <-p.nudge:
	case <-soon:
	case <-p.ctx.Done():
	}
}

// fate is the allocation's, with what only the whole of it tells.
func (p *process) fate(a allocation) (launcher.Exit, error) {
	if a.terminal() {
		ctx, cancel := context.WithTimeoutCause(p.ctx, callPatience, errNoAnswer)
		defer cancel()
		if whole, err := p.Engine.allocation(ctx, a.ID); err == nil {
			a = whole
			p.hear(a)
		}
	}
	return a.fate()
}

// nothing reports whether there will never be an allocation: the job was deregistered
// before there was one, and the engine has dealt with that.
func (p *process) nothing(ctx context.Context) (bool, error) {
	p.mu.Lock()
	ended, evaluation := p.ended, p.evaluation
	p.mu.Unlock()
	if !ended {
		return false, nil
	}
	ctx, cancel := context.WithTimeoutCause(ctx, callPatience, errNoAnswer)
	defer cancel()
	if evaluation != "" {
		if _, err := p.Engine.evaluated(ctx, evaluation); err != nil {
			return false, err
		}
	}
	all, err := p.Engine.allocations(ctx, p.job)
	return err == nil && len(all) == 0, err
}

// tell tells the engine what it has not heard yet, and reports whether it has to be
// told again.
func (p *process) tell(ctx context.Context) (again bool) {
	p.mu.Lock()
	kill := p.killing && p.alloc.running()
	deregister := p.ending && !p.ended && !p.asking
	id := p.alloc.ID
	p.mu.Unlock()
	ctx, cancel := context.WithTimeoutCause(ctx, callPatience, errNoAnswer)
	defer cancel()
	if kill {
		again = p.Engine.signal(ctx, id, "SIGKILL") != nil
	}
	if deregister {
		again = p.deregister(ctx) != nil || again
	}
	return again
}

// hear takes note of news.
func (p *process) hear(a allocation) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.alloc = a
	if a.running() && !p.told {
		p.told = true
		close(p.running)
	}
}

// last returns the allocation as last heard of.
func (p *process) last() allocation {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.alloc
}

func (p *process) isEnding() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.ending
}

// wake has the goroutine look whether there is something to tell.
func (p *process) wake() {
	select {
	case p.nudge <- struct{}{}:
	default:
	}
}

// bind keeps the job on the node where its program runs, so that the engine makes no
// other while that node is out of reach. What runs is not touched: the engine finds
// that it fits where it is.
func (p *process) bind(ctx context.Context) error {
	p.mu.Lock()
	body, index, node := p.body, p.index, p.alloc.NodeID
	p.mu.Unlock()
	for delay := newDelay(); ; {
		bound, cancel := context.WithTimeoutCause(ctx, callPatience, errNoAnswer)
		_, err := p.Engine.register(bound, body.pinnedTo(node), index)
		if isStatus(err, http.StatusInternalServerError) && strings.Contains(err.Error(), "job modify index") {
			err = p.isBound(bound, node, err)
		}
		cancel()
		switch {
		case err == nil:
			p.mu.Lock()
			p.held = true
			p.mu.Unlock()
			return nil
		case !passing(err):
			return fmt.Errorf("bind the job %s to the node where it runs: %w", p.job, err)
		case !pause(ctx, delay.NextBackOff()):
			return fmt.Errorf("bind the job %s to the node where it runs: %w; %w", p.job, err, context.Cause(ctx))
		}
	}
}

// isBound returns nil if the job is bound to the node: by us, and the answer was lost.
func (p *process) isBound(ctx context.Context, node string, otherwise error) error {
	j, err := p.Engine.registered(ctx, p.job)
	switch {
	case err != nil:
		return err
	case !slices.Contains(j.Constraints, pin(node)):
		return fmt.Errorf("somebody else has changed it: %w", otherwise)
	}
	return nil
}

// deregister has the engine end the job and forget it.
func (p *process) deregister(ctx context.Context) error {
	p.mu.Lock()
	p.asking = true
	p.mu.Unlock()
	evaluation, err := p.Engine.deregister(ctx, p.job)
	p.mu.Lock()
	defer p.mu.Unlock()
	p.asking = false
	if err != nil {
		p.wake() // the goroutine goes on with it
		return fmt.Errorf("deregister the job %s: %w", p.job, err)
	}
	p.ended = true
	if evaluation != "" {
		p.evaluation = evaluation
	}
	p.wake()
	return nil
}

// undo ends what a Start that fails has made, and returns why it does.
func (p *process) undo(ctx context.Context) error {
	defer p.Release()
	ctx, cancel := soon(ctx)
	defer cancel()
	if p.isCleared() {
		if err := p.drop(ctx); err != nil {
			return fmt.Errorf("%w; and %w", p.err, err)
		}
		return p.err
	}
	why := p.err
	if why == nil {
		why = fmt.Errorf("%w: %s", ErrNotStarted, p.last().words())
	}
	if err := p.deregister(ctx); err != nil {
		return fmt.Errorf("%w; and it is still there: %w", why, err)
	}
	if err := p.drop(ctx); err != nil {
		return fmt.Errorf("%w; and %w", why, err)
	}
	return why
}

// PID implements [launcher.Process]: it has none on this machine.
func (p *process) PID() int { return 0 }

// Wait implements [launcher.Process].
func (p *process) Wait(ctx context.Context) (launcher.Exit, error) {
	p.begin()
	select {
	case <-p.done:
		return p.exit, p.err
	default:
	}
	select {
	case <-p.done:
		return p.exit, p.err
	case <-ctx.Done():
		return launcher.Exit{}, fmt.Errorf("wait for the job %s: %w", p.job, context.Cause(ctx))
	}
}

// Signal implements [launcher.Process]. SIGTERM is the engine's own way to end a
// job, and removes it. SIGKILL is sent to the program, and the engine then ends
// what is left of its group. Other signals reach the program alone.
func (p *process) Signal(ctx context.Context, sig os.Signal) error {
	select {
	case <-p.done:
		if p.err == nil || p.isCleared() {
			return os.ErrProcessDone
		}
	default:
	}
	number, ok := sig.(syscall.Signal)
	if !ok {
		return fmt.Errorf("signal the job %s: %v is none of the engine's: %w", p.job, sig, errors.ErrUnsupported)
	}
	if number != syscall.SIGTERM && number != syscall.SIGKILL {
		return p.send(ctx, signalName(number))
	}
	p.mu.Lock()
	p.ending = true
	p.killing = p.killing || number == syscall.SIGKILL
	p.mu.Unlock()
	select {
	case <-p.registered:
	case <-ctx.Done():
		return fmt.Errorf("the engine has not said whether the job %s is registered; it is removed as soon as that is known: %w", p.job, context.Cause(ctx))
	}
	if number == syscall.SIGKILL {
		// If that does not reach it, deregistering ends it too, only later; and
		// the goroutine tries again.
		_ = p.send(ctx, "SIGKILL")
	}
	if p.isCleared() {
		return nil
	}
	return p.deregister(ctx)
}

// isCleared reports whether the engine has said that it has no job of ours.
func (p *process) isCleared() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.ended || !p.made
}

// send sends a signal to the program, if it runs.
func (p *process) send(ctx context.Context, name string) error {
	a := p.last()
	if !a.running() {
		return fmt.Errorf("signal the job %s: it does not run", p.job)
	}
	if err := p.Engine.signal(ctx, a.ID, name); err != nil {
		return fmt.Errorf("signal the job %s: %w", p.job, err)
	}
	return nil
}

// Reap implements [launcher.Reaper]: the engine forgets the job, unless it has
// done so already, and the name is given back. Where it is not certain that the program
// has ended, and the job is what keeps the engine from starting it again, it stays.
func (p *process) Reap(ctx context.Context) error {
	p.begin()
	<-p.done
	if err := p.clear(ctx); err != nil {
		return err
	}
	return p.drop(ctx)
}

// clear is what Reap does with the job.
func (p *process) clear(ctx context.Context) error {
	var away *awayError
	switch lost := errors.As(p.err, &away); {
	case lost && p.OnLost == HoldName && p.isHeld() && !p.isEnding():
		return fmt.Errorf("it may still run, and its job stays: %w", p.err)
	case p.err != nil && errors.As(p.err, new(*StatusError)) && !p.isEnding() && !p.isCleared():
		return fmt.Errorf("it may still run, and its job stays: %w", p.err)
	case lost:
		err := error(nil)
		if !p.isCleared() {
			err = p.deregister(ctx)
		}
		if p.OnLost == FreeName {
			return err
		}
		return errors.Join(fmt.Errorf("it may still run, until its node hears that it should not: %w", p.err), err)
	case p.isCleared():
		return nil
	}
	return p.deregister(ctx)
}

func (p *process) isHeld() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.held
}

// Release implements [launcher.Releaser].
func (p *process) Release() {
	p.cancel()
	p.begin() // it ends at once if it had not begun
	<-p.done
}
