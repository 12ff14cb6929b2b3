package launcher

import (
	"context"
	"time"

	"github.com/google/uuid"
)

// An Observer observes launches. The launcher calls it at the start of each launch, after
// every step, and at the end. It is meant for spans and metrics; examples/otel makes
// both. Any of its functions may be nil, and the zero Observer does nothing.
//
// The launcher calls the Observer for each call of [Launcher.Launch], even if it refuses
// that call at once. [Launcher.Ensure] is observed only when it launches: never if the
// pod runs, usually once, more often if it loses races (such a launch ends with
// [ErrRunning]). The Observer learns nothing of [Launcher.Attach], of [Launcher.List], or
// of what becomes of a [Pod].
//
// The calls for one launch come one after the other: Start first, then the steps in the
// order in which they ended, then End, once. After that there are no more calls, not even
// from a strategy that was given up on and returns late. The goroutine that called Launch
// calls Start and End; others call Step. Launches that run at the same time call the same
// Observer at the same time.
//
// A launch waits for each call to return: an Observer that blocks holds the launch up,
// even beyond its deadline. While a launch runs, the Observer must not change what that
// launch was given.
//
// If Start panics, the panic passes through Launch, and nothing was touched. If Step or
// End panics, the launcher ends the pod if it was started and is not recorded as ready
// yet. A pod that is recorded stays, for others may have it by now, and [Launcher.Attach]
// returns it. Then the panic goes on in the goroutine that called Launch, and the
// launcher makes no more calls for that launch. The same goes for [runtime.Goexit].
type Observer struct {
	// Start is called when a launch begins, with the context that Launch was given. The
	// launch uses the context that Start returns: every strategy gets a context derived
	// from it, and so finds a span there. The returned context must be derived from ctx;
	// nil means ctx as it is. [Launcher.Timeout] runs from when Start has returned.
	Start func(ctx context.Context, launch LaunchInfo) context.Context

	// Step is called when a step has ended, whether it has failed or not. ctx is what
	// Start has returned; it may be done. Step is not called for a step that panics, or
	// that has not returned when the launch is over.
	Step func(ctx context.Context, step StepInfo)

	// End is called with the outcome of the launch, just before Launch returns the same.
	// ctx is what Start has returned; it may be done.
	End func(ctx context.Context, end EndInfo)
}

// A LaunchInfo says which launch begins.
type LaunchInfo struct {
	Name  string    // the pod's; not checked yet
	ID    uuid.UUID // of this launch; the Logger, the Log and the Starter get the same
	Began time.Time // when Launch was called
}

// A StepInfo is a step of a launch that has ended. Which steps there are may
// change; today:
//
//	StageStart    workdir   can the working directory be entered?
//	StageDir      base      where the runtime directory will be
//	StageResolve  command   the command
//	StageOwn      claim     the name is taken
//	StageDir      make      the directory is made, checked and opened; an earlier
//	                        pod's socket goes
//	StageLog      open      the log is opened
//	StageReady    prepare   what Launcher.Ready needs before the process starts
//	StageStart    process   the process is started and recorded
//	StageReady    probe     the wait for Launcher.Ready, or for what came first
//	StageOwn      record    it is written down that the pod is ready
//	(as failed)   clear     a process whose launch has failed is ended
//
// Each comes once. Exception: after make comes command once more if the directory
// is another than Launcher.Dir had promised. After a step that has failed only
// clear may follow.
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
