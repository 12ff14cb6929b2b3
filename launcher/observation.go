package launcher

import (
	"context"
	"errors"

	"github.com/hashicorp/go-hclog"
)

// errObserverPanicked ends a launch whose Observer has panicked in Step.
var errObserverPanicked = errors.New("Launcher.Observer panicked in Step")

// An observation is one launch as its Observer sees it.
type observation struct {
	*Observer
	ctx  context.Context         // what Start has returned
	stop context.CancelCauseFunc // ends the launch
	log  hclog.Logger

	// turn has room for one: the goroutine that has put something there may use
	// what is below. Step has its turn while it runs, and so End comes after it. A
	// Mutex would do, but would stop the clock of testing/synctest.
	turn  chan struct{}
	over  bool   // there are no more calls
	crash *crash // of Step
}

// observe calls Start of the Observer o, and returns the observation and the
// context of the launch.
func observe(ctx context.Context, o *Observer, info LaunchInfo, log hclog.Logger) (*observation, context.Context) {
	if o.Start != nil {
		if c := o.Start(ctx, info); c != nil {
			ctx = c
		}
	}
	v := &observation{Observer: o, ctx: ctx, log: log, turn: make(chan struct{}, 1)}
	ctx, v.stop = context.WithCancelCause(ctx)
	return v, ctx
}

// step tells of a step that has ended just now. Step runs in a goroutine of its
// own: so if it panics, or calls runtime.Goexit, what the caller has begun is not
// cut short but fails, as it does when the launch is cancelled.
func (o *observation) step(info StepInfo) {
	if o.Step == nil {
		return
	}
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
		o.log.Error("the observer panicked; the launch is ended unless the pod is recorded as ready", "panic", call.crash.value, "stack", string(call.crash.stack))
		o.stop(errObserverPanicked)
	}
}

// end calls End, the last call of a launch. If Step has panicked
// before, that goes on here instead.
func (o *observation) end(e EndInfo) {
	o.turn <- struct{}{}
	o.over = true
	<-o.turn
	if o.crash != nil {
		o.crash.resume()
	}
	if o.End != nil {
		o.End(o.ctx, e)
	}
}
