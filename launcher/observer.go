package launcher

import (
	"context"
	"errors"
	"time"

	"github.com/google/uuid"
	"github.com/hashicorp/go-hclog"
)

// An Observer is told of launches: of the start of each, of every step as it
// ends, and of the end. It is meant for spans and metrics; examples/otel makes
// both of it. Any of its functions may be nil, and the zero Observer does
// nothing.
//
// What is observed is each call of [Launcher.Launch], also one that is refused
// at once. [Launcher.Ensure] launches in the same way, so it is observed where
// it does: not at all if the pod runs, else once, or again for as long as
// others are faster (a launch that ends with [ErrRunning]). Nothing tells of
// [Launcher.Attach], of [Launcher.List], or of what becomes of a [Pod].
//
// Of one launch the calls come one after the other: Start first, then the
// steps in the order in which they ended, then End, once, and after that
// nothing more, not even from a strategy that was given up on and returns late.
// Start and End are called by the goroutine that called Launch, Step by others.
// Launches that run at the same time call the same Observer at the same time.
//
// A launch waits for each call to return: an Observer that blocks holds it up,
// beyond its deadline if need be. It must not change, while a launch runs, what
// that launch was given.
//
// If Start panics, the panic passes through Launch, and nothing was touched. If
// Step or End panics, the pod is ended if it was started, and then the panic
// goes on in the goroutine that called Launch; of that launch nothing more is
// told. The same goes for [runtime.Goexit].
type Observer struct {
	// Start is told that a launch begins, with the context that Launch was
	// given. The context it returns is used for the launch: every strategy is
	// called with one derived from it, and so finds a span in it. It must be
	// derived from ctx; nil means ctx as it is. [Launcher.Timeout] runs from when
	// Start has returned.
	Start func(ctx context.Context, launch LaunchInfo) context.Context

	// Step is told that a step has ended, whether it has failed or not. ctx is
	// what Start has returned; it may be done. A step that panics, or that did
	// not return when the launch was over, is not told.
	Step func(ctx context.Context, step StepInfo)

	// End is told how the launch has ended, just before Launch returns the same.
	// ctx is what Start has returned; it may be done.
	End func(ctx context.Context, end EndInfo)
}

// A LaunchInfo says which launch begins.
type LaunchInfo struct {
	Name  string    // the pod's; not checked yet
	ID    uuid.UUID // of this launch, as the Logger, the Log and the Starter are told it
	Began time.Time // when Launch was called
}

// A StepInfo is a step of a launch that has ended. The stages overlap: what can
// be refused is refused before anything is made, and so the directory, for one,
// is dealt with several times. Which steps there are may change; today:
//
//	StageStart    workdir   can the working directory be entered?
//	StageDir      expect    where the runtime directory will be, if that can be told
//	StageResolve  command   the command, if the directory is known
//	StageDir      make      the directory is made and checked
//	StageResolve  command   again, if the directory is another than was expected
//	StageOwn      claim     the name is taken
//	StageDir      remake    the directory again, if somebody has removed it; it is opened
//	StageDir      socket    an earlier pod's socket goes
//	StageLog      open      the log is opened
//	StageReady    prepare   what Launcher.Ready needs before the process starts
//	StageStart    process   the process is started and recorded
//	StageReady    probe     the wait for Launcher.Ready, or for what came first
//	StageOwn      record    it is written down that the pod is ready
//	(as failed)   clear     a process whose launch has failed is ended
//
// A step that finds nothing to do is told like any other. After one that has
// failed only clear may follow.
type StepInfo struct {
	Stage Stage         // as in Error.Stage
	Name  string        // which step of the stage
	Began time.Time     // when it began
	Took  time.Duration // how long it took
	Err   error         // why it failed; nil if it did not
}

// An EndInfo is how a launch has ended.
type EndInfo struct {
	Pod  *Pod          // the pod, if it is ready; else nil
	Err  error         // else why not, an *Error: what Launch returns
	Took time.Duration // from the call of Launch
}

var (
	// errPanicked is what End is told of a launch that does not return.
	errPanicked = errors.New("a strategy or Spec.Progress panicked, and Launch goes on with that")

	// errObserverPanicked ends a launch whose Observer has panicked in Step.
	errObserverPanicked = errors.New("Launcher.Observer panicked in Step")
)

// An observation is one launch as its Observer sees it.
type observation struct {
	*Observer
	ctx  context.Context         // what Start has returned
	stop context.CancelCauseFunc // ends the launch
	log  hclog.Logger

	// turn has room for one: who has put something there may use what is below.
	// Step has its turn while it runs, and so End comes after it. A Mutex would
	// do, but would stop the clock of testing/synctest.
	turn  chan struct{}
	over  bool   // nothing more is told
	crash *crash // of Step
}

// observed is run, with the Observer told of it.
func (n *launch) observed(ctx context.Context) (*Pod, error) {
	if n.Observer == nil {
		return n.run(ctx)
	}
	if n.Observer.Start != nil {
		if c := n.Observer.Start(ctx, LaunchInfo{Name: n.spec.Name, ID: n.id, Began: n.began}); c != nil {
			ctx = c
		}
	}
	o := &observation{Observer: n.Observer, ctx: ctx, log: n.log, turn: make(chan struct{}, 1)}
	ctx, o.stop = context.WithCancelCause(ctx)
	defer o.stop(nil)
	n.observation = o

	returned := false
	defer func() {
		if !returned { // a strategy has panicked
			e := &Error{Stage: n.stage.Load().(Stage), Name: n.spec.Name, Elapsed: time.Since(n.began), Err: errPanicked}
			o.end(EndInfo{Err: e, Took: e.Elapsed})
		}
	}()
	pod, err := n.run(ctx)
	returned = true
	o.end(EndInfo{Pod: pod, Err: err, Took: time.Since(n.began)})
	return pod, err
}

// step tells the Observer, if there is one, of a step that has ended just now.
// Step runs in a goroutine of its own: so if it panics, or calls
// runtime.Goexit, what the caller has begun is not cut short but fails, as it
// does when the launch is cancelled.
func (n *launch) step(stage Stage, name string, began time.Time, err error) {
	o := n.observation
	if o == nil || o.Step == nil {
		return
	}
	info := StepInfo{Stage: stage, Name: name, Began: began, Took: time.Since(began), Err: err}
	o.turn <- struct{}{}
	defer func() { <-o.turn }()
	if o.over {
		return
	}
	call := <-spawn(func() (struct{}, error) {
		o.Step(o.ctx, info)
		return struct{}{}, nil
	})
	if call.crash != nil {
		o.over, o.crash = true, call.crash
		o.log.Error("the observer panicked; the launch is ended", "panic", call.crash.value, "stack", string(call.crash.stack))
		o.stop(errObserverPanicked)
	}
}

// end tells the Observer of the end. If it has panicked before, or does now, a
// pod that is ready all the same is ended: nobody would get it.
func (o *observation) end(e EndInfo) {
	o.turn <- struct{}{}
	o.over = true
	<-o.turn
	returned := false
	defer func() {
		if returned || e.Pod == nil {
			return
		}
		if err := e.Pod.discard(); err != nil {
			o.log.Error("not cleared", "error", err)
		}
	}()
	if o.crash != nil {
		o.crash.resume()
	}
	if o.End != nil {
		o.End(o.ctx, e)
	}
	returned = true
}

// discard ends a pod that was ready, whatever its grace.
func (p *Pod) discard() error {
	p.mu.Lock()
	p.stopping, p.killAt = true, time.Now()
	p.mu.Unlock()
	bound, cancel := context.WithTimeout(context.Background(), killPatience)
	defer cancel()
	return p.stop(bound)
}
