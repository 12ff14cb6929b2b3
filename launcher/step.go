package launcher

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/google/uuid"
	"github.com/hashicorp/go-hclog"

	"github.com/podlaunch/podlaunch/launcher/internal/ownership"
)

// An attempt is one call of Launch: what it was given, which step it is at, and
// what it has made so far.
//
// Goroutines: the steps before the process run in a worker, as does everything before and
// after the fork, because a strategy or a filesystem may hang in a system call that no
// context ends. The caller's goroutine waits for these steps. If it gives them up, they
// clear away what they have made when they return. The caller's goroutine itself makes
// the fork of a Local. A second worker runs the probe, judges what has come of it, and
// records that the pod is ready: to wake a goroutine for each of these takes as long as
// several system calls. Its stack is small while it waits. It closes the log after the
// launch is over, and then ends by itself, before the Pod's goroutine. There are also one
// goroutine for the tail, and one for Spec.Progress; the worker joins them. The Pod has
// one, which waits for the end of the process.
type attempt struct {
	Launcher            // with defaults
	op           string // what was called, see Error.Op
	private      bool   // the pod is private, and its name was drawn
	defaultReady bool
	spec         Spec
	id           uuid.UUID
	began        time.Time
	log          hclog.Logger
	deadline     *launchDeadline // nil: ctx alone bounds the launch
	observation  *observation    // nil if there is no Observer

	at   atomic.Int32 // the step that runs or has just ended, an index into steps
	fate atomic.Int32
	made undoStack
	pod  *Pod // once fate is fateReady

	worker  worker // of the caller's goroutine
	closing func() // what the ready pod's launch has left to be done; nil: nothing yet

	started   bool         // there was a process
	unhurried atomic.Int32 // how much of what runs is bounded by itself, or may take any time as the Observer may
	hurried   atomic.Int32 // how often that has ended

	mu       sync.Mutex
	evidence Error // what is known by now and would explain a failure
}

// The fate of a launch is decided once, by the line or by the caller who waits
// for it.
const (
	fateOpen    = iota
	fateReady   // the pod is recorded as ready: Launch returns it
	fateGivenUp // Launch returns an error, and the steps that hang have nobody to return to
)

// newLaunch returns a launch with l's strategies, and with the defaults in place
// of those that are nil. op is what was called.
func newLaunch(l *Launcher, op string, spec Spec) *attempt {
	n := &attempt{op: op, Launcher: l.withDefaults(), defaultReady: l.Ready == nil, spec: spec, id: uuid.New(), began: time.Now()}
	if op == opLaunch && spec.Name == "" && isPrivate(n.Dir) {
		n.private, n.spec.Name = true, ownership.RandomName()
	}
	n.log = n.Logger.With("pod", n.spec.Name, "launch", n.id.String())
	n.made.late = n.logLate
	return n
}

// logLate logs a panic that Launch cannot let go on, for it did not wait for it.
func (n *attempt) logLate(c *crash) {
	n.log.Error("a strategy panicked after its launch was over", "panic", c.value, "stack", string(c.stack))
}

// bound returns ctx with the Launcher's own deadline, unless ctx has it already. The
// caller has to call release.
func (n *attempt) bound(ctx context.Context) (_ context.Context, release func()) {
	if n.Timeout < 0 || n.deadline != nil {
		return ctx, func() {}
	}
	n.deadline = newDeadline(ctx, n.Timeout, n.MaxTimeout)
	return n.deadline, n.deadline.release
}

// The steps of a launch, in order. See [StepInfo].
const (
	stepWorkDir int32 = iota
	stepBase
	stepCommand
	stepClaim
	stepDirectory
	stepLog
	stepPrepare
	stepProcess
	stepProbe
	stepRecord
	stepClear
)

// stepTable says of each step its stage and its name.
var stepTable = [...]struct {
	stage Stage
	name  string
}{
	stepWorkDir:   {StageStart, "workdir"},
	stepBase:      {StageDir, "base"},
	stepCommand:   {StageResolve, "command"},
	stepClaim:     {StageOwn, "claim"},
	stepDirectory: {StageDir, "make"},
	stepLog:       {StageLog, "open"},
	stepPrepare:   {StageReady, "prepare"},
	stepProcess:   {StageStart, "process"},
	stepProbe:     {StageReady, "probe"},
	stepRecord:    {StageOwn, "record"},
	stepClear:     {"", "clear"}, // its stage is that of the step that has failed
}

// errGivenUp ends steps that nobody waits for any more.
var errGivenUp = errors.New("the launch was given up on")

// mayRecord returns an error if the launch was given up on. Its caller has an error by
// now, and so the pod is to be ended and not to be recorded.
func (n *attempt) mayRecord() error {
	if n.fate.Load() == fateGivenUp {
		return errGivenUp
	}
	return nil
}

// runStep takes one step of the launch n: it runs f, and tells Observer and Logger.
func runStep[T any](n *attempt, at int32, f func() (T, error)) (v T, err error) {
	began, err := n.enter(at)
	if err != nil {
		return v, err
	}
	v, err = f()
	n.leave(at, began, err)
	return v, err
}

// enter begins a step. The error says why there are to be no more steps.
func (n *attempt) enter(at int32) (began time.Time, err error) {
	n.at.Store(at)
	switch {
	case n.fate.Load() == fateGivenUp:
		return began, errGivenUp
	case n.observation != nil && n.observation.crash != nil:
		return began, errObserverPanicked
	}
	return time.Now(), nil
}

// leave tells Observer and Logger that a step has ended, with err. A step that hangs has not.
func (n *attempt) leave(at int32, began time.Time, err error) {
	if _, hangs := err.(stuckError); hangs {
		return
	}
	stage, why := stepTable[at].stage, err
	if own, ok := err.(ownError); ok {
		stage, why = own.e.Stage, own.e.Err
	}
	n.tell(at, stage, began, why)
	if err == nil && n.log.IsDebug() { // else its arguments are made for nothing
		n.log.Debug("step done", "stage", string(stage), "step", stepTable[at].name, "took", time.Since(began))
	}
}

// tell tells the Observer, if there is one, that a step has ended just now.
func (n *attempt) tell(at int32, stage Stage, began time.Time, err error) {
	if n.observation != nil {
		n.unhurry()
		defer n.hurry()
		n.observation.step(StepInfo{Stage: stage, Name: stepTable[at].name, Began: began, Took: time.Since(began), Err: err})
	}
}

// unhurry notes that something runs which is bounded by itself, or may take any time, until
// hurry is called.
func (n *attempt) unhurry() { n.unhurried.Add(1) }

func (n *attempt) hurry() {
	n.hurried.Add(1) // first: who sees that nothing is unhurried sees this
	n.unhurried.Add(-1)
}

// note adds to what would explain a failure.
func (n *attempt) note(add func(e *Error)) {
	n.mu.Lock()
	defer n.mu.Unlock()
	add(&n.evidence)
}

// failure returns the Error of a launch that fails in stage with err, and with
// all that is known by now.
func (n *attempt) failure(stage Stage, err error) *Error {
	n.mu.Lock()
	defer n.mu.Unlock()
	e := n.evidence
	e.Op, e.Stage, e.Name, e.Elapsed, e.Err = n.op, stage, n.spec.Name, time.Since(n.began), err
	return &e
}

// fail notes that the step which runs has failed, in its stage, and that what was
// made is cleared now.
func (n *attempt) fail(stage Stage) {
	n.note(func(e *Error) { e.Stage = stage })
	n.at.Store(stepClear)
}

// stuck returns the Error of a launch that hangs in one of its steps.
func (n *attempt) stuck(ctx context.Context) *Error {
	at := stepTable[n.at.Load()]
	n.note(func(e *Error) { at.stage = cmp.Or(at.stage, e.Stage) }) // it has failed just now
	e := n.failure(at.stage, whyOver(ctx))
	e.Leftover = fmt.Errorf("stage %s has not returned from its step %q: a strategy or a filesystem hangs; what it still makes is cleared when it does", at.stage, at.name)
	if at == stepTable[stepRecord] {
		e.Leftover = fmt.Errorf("stage %s has not returned from its step %q: a filesystem hangs; the pod stays if it turns out to be recorded as ready, and is ended if not", at.stage, at.name)
	}
	return e
}

// A stuckError says that a step hangs. What was made is not undone now, but when that
// step returns: it may still use it.
type stuckError struct{ e *Error }

func (s stuckError) Error() string { return s.e.Error() }

// An ownError is what a step fails with that knows more than why: the Error of this
// launch. An *Error that a strategy returns is of another.
type ownError struct{ e *Error }

func (o ownError) Error() string { return o.e.Error() }

// failed undoes what a launch that fails with err has made, and returns the
// Error of it. If err is an ownError it is that one, with what was found meanwhile.
// A panic of what undoes it goes on.
func (n *attempt) failed(ctx context.Context, err error) *Error {
	at := n.at.Load()
	own, complete := err.(ownError)
	e := own.e
	if !complete {
		e = n.failure(stepTable[at].stage, whyFailed(ctx, err))
	}
	n.fail(e.Stage)
	began := time.Now()
	c, left := n.made.undo()
	if n.started {
		n.tell(stepClear, e.Stage, began, left)
	}
	n.mu.Lock()
	e.Notes = append(e.Notes, n.evidence.Notes...)
	n.mu.Unlock()
	e.Leftover = errors.Join(e.Leftover, left)
	if c != nil {
		c.pass()
	}
	return e
}

// whyOver says why the context of the call is done: for Stop and Remove there was no
// pod that had to become ready.
func (n *attempt) whyOver(ctx context.Context) error {
	if n.op == opStop || n.op == opRemove {
		return context.Cause(ctx)
	}
	return whyOver(ctx)
}

// whyFailed says why a step of a launch has failed with err: if the time was over,
// that comes first, and err may be no more than what a strategy has made of it.
func whyFailed(ctx context.Context, err error) error {
	switch {
	case ctx.Err() == nil || errors.Is(err, ErrHeld):
		return err
	case errors.Is(err, context.Cause(ctx)) || errors.Is(err, ctx.Err()):
		return whyOver(ctx)
	}
	return fmt.Errorf("%w; %w", whyOver(ctx), err)
}
