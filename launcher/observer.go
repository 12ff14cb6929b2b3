package launcher

import (
	"context"
	"time"

	"github.com/google/uuid"
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
// Step or End panics, the pod is ended if it was started and is not recorded as
// ready yet; one that is recorded stays, for others may have it by now, and
// [Launcher.Attach] gives it. Then the panic goes on in the goroutine that called
// Launch; of that launch nothing more is told. The same goes for [runtime.Goexit].
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
