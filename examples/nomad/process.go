package nomad

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"sync"
	"syscall"

	"github.com/podlaunch/podlaunch/launcher"
)

// A process is a job with its one allocation.
//
// One goroutine belongs to it, which registers the job and then follows what
// becomes of it, with one question to the engine at a time. It ends when the
// allocation is terminal, when it cannot be followed any more, or by Release.
// What the engine was to be told and did not hear, because it was away, the
// goroutine tells it later.
type process struct {
	engine Engine
	job    string
	ctx    context.Context    // of the goroutine
	cancel context.CancelFunc // ends it

	registered chan struct{} // closed by the goroutine: the engine has answered, or never will
	running    chan struct{} // closed by it: the program runs
	done       chan struct{} // closed by it, last: exit and err are set

	exit launcher.Exit
	err  error

	mu    sync.Mutex
	alloc allocation         // as last heard of; without an ID if there is none yet
	told  bool               // that it runs
	made  bool               // the job is registered, or may be
	look  context.CancelFunc // ends the question that is under way

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

// newProcess returns one whose goroutine the caller starts.
func newProcess(e Engine, job string) *process {
	p := &process{engine: e, job: job, registered: make(chan struct{}), running: make(chan struct{}), done: make(chan struct{}), look: func() {}}
	p.ctx, p.cancel = context.WithCancel(context.Background())
	return p
}

// start is the goroutine of a job that is to be registered.
func (p *process) start(j job) {
	defer close(p.done)
	defer p.cancel()
	evaluation, unsure, err := p.register(j)
	p.mu.Lock()
	p.made = err == nil || unsure
	p.mu.Unlock()
	close(p.registered)
	if err != nil && !unsure {
		p.err = err
		return
	}
	if evaluation != "" {
		v, err := p.engine.evaluated(p.ctx, evaluation)
		if err == nil && (len(v.FailedTGAllocs) > 0 || v.Status == "failed") {
			p.err = fmt.Errorf("%w: %s", ErrNoRoom, v.words())
			return
		}
	}
	p.exit, p.err = p.follow()
}

// adopted is the goroutine of a job that was registered before.
func (p *process) adopted() {
	defer close(p.done)
	defer p.cancel()
	p.exit, p.err = p.follow()
}

// register asks for the job until there is an answer: to ask twice for the same
// job is to ask for it once. unsure is true if there was none in the end, and the
// engine may have heard all the same.
func (p *process) register(j job) (evaluation string, unsure bool, err error) {
	for delay := newDelay(); ; {
		ctx, cancel := context.WithTimeoutCause(p.ctx, callPatience, errNoAnswer)
		evaluation, err = p.engine.register(ctx, j)
		cancel()
		switch {
		case err == nil:
			return evaluation, false, nil
		case !passing(err) && errors.As(err, new(*StatusError)):
			return "", false, fmt.Errorf("%w: %w", ErrRefused, err)
		case !passing(err), isDial(err) && !unsure:
			return "", false, err
		}
		unsure = true
		if p.isEnding() || !pause(p.ctx, delay.NextBackOff()) {
			return "", true, err
		}
	}
}

// isDial reports whether nobody can have heard what was said.
func isDial(err error) bool {
	var op *net.OpError
	return errors.As(err, &op) && op.Op == "dial"
}

// follow returns how the allocation ended, once it has.
func (p *process) follow() (launcher.Exit, error) {
	var index uint64
	for delay := newDelay(); ; {
		ctx := p.question()
		p.tell(ctx)
		before := p.last()
		a, next, err := p.ask(ctx, before.ID, index)
		switch {
		case p.ctx.Err() != nil:
			return launcher.Exit{}, context.Cause(p.ctx)
		case isStatus(err, http.StatusNotFound):
			return launcher.Exit{}, fmt.Errorf("%w: it does not know the allocation %s of the job %s", ErrLost, before.ID, p.job)
		case errors.Is(err, errNoAllocation):
			return launcher.Exit{}, nil
		case err != nil:
			index = 0                       // an agent that comes back may have begun anew
			pause(ctx, delay.NextBackOff()) // it is cut short if something is to be told
			continue
		}
		delay.Reset()
		index = later(index, next)
		if a.ID == "" {
			continue
		}
		if before.ID == "" {
			index = 0 // that was the list's
		}
		p.heard(a)
		switch {
		case a.ClientStatus == "lost":
			return launcher.Exit{}, fmt.Errorf("%w: the allocation %s was on the node %s, which does not answer", ErrLost, a.ID, a.NodeName)
		case a.terminal():
			return a.exit(), nil
		}
	}
}

// question returns the context of the next question, which ends when somebody
// wants the engine to be told something.
func (p *process) question() context.Context {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.look()
	ctx, cancel := context.WithCancel(p.ctx)
	p.look = cancel
	return ctx
}

// errNoAllocation says that there will never be one.
var errNoAllocation = errors.New("no allocation")

// ask waits for news of the allocation, or for there to be one if id is empty.
func (p *process) ask(ctx context.Context, id string, index uint64) (a allocation, next uint64, err error) {
	if id != "" {
		return p.engine.allocation(ctx, id, index)
	}
	p.mu.Lock()
	ended, evaluation := p.ended, p.evaluation
	p.mu.Unlock()
	if ended {
		// Once the engine has dealt with that it starts nothing any more.
		index = 0
		if evaluation != "" {
			if _, err := p.engine.evaluated(ctx, evaluation); err != nil {
				return a, 0, err
			}
		}
	}
	all, next, err := p.engine.allocations(ctx, p.job, index)
	if err == nil && ended && len(all) == 0 {
		err = errNoAllocation
	}
	return allocation{ID: newest(all).ID}, next, err // what else is listed is less than all
}

// newest is the allocation of a job that counts: there is one, unless the engine
// has put the job on another node.
func newest(all []allocation) (a allocation) {
	for _, b := range all {
		if a.ID == "" || b.CreateIndex > a.CreateIndex {
			a = b
		}
	}
	return a
}

// tell tells the engine what it has not heard yet.
func (p *process) tell(ctx context.Context) {
	p.mu.Lock()
	kill := p.killing && p.alloc.running()
	deregister := p.ending && !p.ended && !p.asking
	id := p.alloc.ID
	p.mu.Unlock()
	if kill {
		_ = p.engine.signal(ctx, id, "SIGKILL")
	}
	if deregister {
		_ = p.deregister(ctx) // or next time
	}
}

// heard takes note of news.
func (p *process) heard(a allocation) {
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

// deregister has the engine end the job and forget it.
func (p *process) deregister(ctx context.Context) error {
	p.mu.Lock()
	p.asking = true
	p.mu.Unlock()
	evaluation, err := p.engine.deregister(ctx, p.job)
	p.mu.Lock()
	defer p.mu.Unlock()
	p.asking = false
	if err != nil {
		p.look() // the goroutine goes on with it
		return fmt.Errorf("deregister the job %s: %w", p.job, err)
	}
	p.ended = true
	if evaluation != "" {
		p.evaluation = evaluation
	}
	p.look()
	return nil
}

// undo ends what a Start that fails has made, and returns why it does.
func (p *process) undo(ctx context.Context) error {
	defer p.Release()
	if p.isCleared() {
		return p.err
	}
	why := p.err
	if why == nil {
		why = fmt.Errorf("%w: %s", ErrNotStarted, p.last().words())
	}
	ctx, cancel := soon(ctx)
	defer cancel()
	if err := p.deregister(ctx); err != nil {
		return fmt.Errorf("%w; and it is still there: %w", why, err)
	}
	return why
}

// PID implements [launcher.Process]: it has none on this machine.
func (p *process) PID() int { return 0 }

// Wait implements [launcher.Process].
func (p *process) Wait(ctx context.Context) (launcher.Exit, error) {
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
		return os.ErrProcessDone
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

// isCleared reports whether the engine has no job of ours, as far as it has said.
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
	if err := p.engine.signal(ctx, a.ID, name); err != nil {
		return fmt.Errorf("signal the job %s: %w", p.job, err)
	}
	return nil
}

// Reap implements [launcher.Reaper]: the engine forgets the job, unless it has
// done so already.
func (p *process) Reap(ctx context.Context) error {
	if p.isCleared() {
		return nil
	}
	return p.deregister(ctx)
}

// Release implements [launcher.Releaser].
func (p *process) Release() {
	p.cancel()
	<-p.done
}
