package launcher

import (
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/podlaunch/podlaunch/logsource"
	"github.com/podlaunch/podlaunch/readiness"
	"github.com/podlaunch/podlaunch/runtimedir"
)

const (
	// DefaultTimeout is how long a launch may take.
	DefaultTimeout = 20 * time.Second

	// DefaultMaxTimeout is how long a launch may take at most if the pod asks for more time.
	DefaultMaxTimeout = 10 * time.Minute

	// DefaultGrace is how long a pod has between SIGTERM and SIGKILL.
	DefaultGrace = 10 * time.Second
)

// A Launcher launches pods. The zero value is ready to use. A Launcher is
// never changed by use, and its methods may be called from any number of
// goroutines; its fields must not be changed while they run.
type Launcher struct {
	// Command resolves what to run. Nil means PodCommand{}.
	Command CommandResolver

	// Dir resolves a pod's runtime directory. Nil means runtimedir.User{}. With
	// runtimedir.Temp{} pods are private, and Spec.Name has to be empty: nobody else
	// waits for such a pod or finds it, nothing is recorded of it, and its directory,
	// with the log, is removed when the pod has gone or the launch has failed. What is
	// about names fails with [errors.ErrUnsupported]: Attach, List, Ensure, Stop, Remove.
	Dir runtimedir.Resolver

	// Log provides where a pod's output goes. Nil means logsource.File{}.
	Log logsource.Source

	// Ready finds out when a pod is ready. Nil means the ready line and then
	// its socket: readiness.Sequence{readiness.ReadyLine{}, readiness.Socket{}}.
	// That probe expects the socket at "sock" in the runtime directory, and so
	// a launch with it fails before anything starts if that path is too long
	// for a socket.
	Ready readiness.Probe

	// Starter starts the process. Nil means Local{}.
	Starter Starter

	// OverlayTransport is how a pod gets Spec.Overlay. 0 means
	// [OverlayAsArgument], where every user of the machine can read it.
	OverlayTransport OverlayTransport

	// Timeout is how long one launch may take, from the call to readiness. The
	// context's own deadline counts as well. 0 means [DefaultTimeout];
	// negative means that only the context bounds the launch.
	Timeout time.Duration

	// MaxTimeout is how long a launch may take at most when the pod asks for
	// more time than Timeout ([readiness.Setup.Extend]). 0 means
	// [DefaultMaxTimeout]; if it is not longer than Timeout, no pod gets more.
	MaxTimeout time.Duration

	// Grace is how long [Pod.Stop] waits between SIGTERM and SIGKILL. 0 means
	// [DefaultGrace]; negative means no grace: SIGKILL at once.
	Grace time.Duration

	// AbortGrace is how long a pod whose launch fails has between its stop signal and
	// SIGKILL, to clean up what it holds elsewhere. The launch returns later by that. 0
	// means none: SIGKILL at once.
	AbortGrace time.Duration

	// Reclaim makes a launch end what a pod of the name that is gone has left behind:
	// processes that hold the name because they have inherited its lock. They get
	// SIGTERM and, after Grace, SIGKILL, within the time of the launch. Without it the
	// launch fails with [ErrHeld], for they may do something that matters.
	Reclaim bool

	// Logger gets the steps of each launch at Debug, its outcome at Info or
	// Error, and at Warn what may be wrong: an overlay that looks as if it held
	// a secret, for one. Nil means silence. No overlay is ever logged.
	Logger hclog.Logger

	// Observer observes each launch, its steps and its end, for spans and metrics. Nil
	// means no observer.
	Observer *Observer
}

// withDefaults returns a copy of l in which every strategy is set.
func (l *Launcher) withDefaults() Launcher {
	d := *l
	if d.Command == nil {
		d.Command = PodCommand{}
	}
	if d.Dir == nil {
		d.Dir = runtimedir.User{}
	}
	if d.Log == nil {
		d.Log = logsource.File{}
	}
	if d.Ready == nil {
		d.Ready = readiness.Sequence{readiness.ReadyLine{}, readiness.Socket{}}
	}
	if d.Starter == nil {
		d.Starter = Local{}
	}
	if d.Timeout == 0 {
		d.Timeout = DefaultTimeout
	}
	if d.MaxTimeout == 0 {
		d.MaxTimeout = DefaultMaxTimeout
	}
	if d.Grace == 0 {
		d.Grace = DefaultGrace
	}
	if d.Logger == nil {
		d.Logger = hclog.NewNullLogger()
	}
	return d
}
