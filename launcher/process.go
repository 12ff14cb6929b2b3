package launcher

import (
	"context"
	"fmt"
	"os"
	"syscall"

	"github.com/google/uuid"

	"github.com/podlaunch/podlaunch/launcher/internal/ownership"
)

// A Starter brings a process into being.
type Starter interface {
	// Start starts the process that req describes, detached, and returns once
	// it runs. ctx bounds the starting only: the process outlives it. When
	// Start fails it leaves no process and nothing open. Start may be called
	// from any number of goroutines. It does not close the files in req.
	Start(ctx context.Context, req StartRequest) (Process, error)
}

const (
	// firstFile is the first descriptor of a process after the standard ones.
	firstFile = 3

	// lockDescriptor is where the pod finds its lock: 20. It need not know
	// of: behind all that a program may expect at a fixed place. 3 belongs to
	// LISTEN_FDS and to s6, the single digits to shell scripts.
	lockDescriptor = ownership.LockDescriptor

	// overlayDescriptor is where a pod finds its overlay, if it is a descriptor:
	// next to its lock.
	overlayDescriptor = lockDescriptor + 1
)

// A StartRequest tells a [Starter] what to start.
type StartRequest struct {
	Name                string    // the pod's
	ID                  uuid.UUID // of this launch
	Command             Command
	WorkDir, RuntimeDir string     // absolute
	Stdout, Stderr      *os.File   // nil: null
	Stdin               *os.File   // nil: null; a Starter that cannot hand it over returns an error
	Files               []*os.File // from descriptor 3; nil: closed

	// PIDEnv names variables that the process gets with its own id as value. A
	// Starter that cannot do that returns an error if there are any. With LISTEN_PID
	// among them Local starts the process as systemd does a service: SIGPIPE is
	// ignored.
	PIDEnv []string
}

// A Process is a pod's process, wherever it runs. It leads a group, which are
// all the processes that belong to the pod. Its methods may be called from any
// number of goroutines.
type Process interface {
	// PID returns the process's id on this machine, or 0 if it has none.
	PID() int

	// Wait returns how the process ended, once it has, at every call. It
	// returns an error only if the waiting failed; once ctx is done that is
	// one wrapping context.Cause(ctx), unless the process has ended already:
	// so with a ctx that is done from the start, Wait just looks. It does nothing
	// to the process: the launcher calls it with a ctx that is done at every launch.
	Wait(ctx context.Context) (Exit, error)

	// Signal sends sig to the whole group. It returns [os.ErrProcessDone] once no process
	// is left to get it. It does not wait for the effect of the signal. Once ctx is done
	// it returns promptly, even if another call blocks.
	//
	// A call may come too late, after Reap or Release. Then Signal must not use the
	// number of the group, which may be another group's by then.
	Signal(ctx context.Context, sig os.Signal) error
}

// A Reaper is a [Process] whose end leaves something behind that somebody has
// to clear: a child of this program is a zombie until it is reaped. The zombie
// also keeps the number of its group, so that the rest of the group can still
// be signalled and no stranger hit. It is optional; a Process without it has
// nothing to clear.
type Reaper interface {
	// Reap is called exactly once, after Wait has told of the end and nobody
	// is going to send a signal any more. If SIGKILL was sent before, Reap
	// returns once the whole group is gone, or ctx is done; its error names the
	// processes that are left. Without an error nobody is left who could do
	// anything: a zombie that somebody else has to reap does not count.
	Reap(ctx context.Context) error
}

// A Releaser is a [Process] that can be forgotten while it runs. It is
// optional.
type Releaser interface {
	// Release frees what the Process holds in this program. It is called
	// instead of Reap, and no other method is called after it, unless a Signal
	// comes too late.
	Release()
}

// A Leader is a [Process] whose first process can be signalled alone. It is optional:
// without it [Pod.Signal], [KillMixed] and [KillFirst] signal as Process.Signal does.
type Leader interface {
	// SignalFirst sends sig to the first process. It returns [os.ErrProcessDone] once
	// that has ended.
	SignalFirst(ctx context.Context, sig os.Signal) error
}

// A Finder is a [Starter] whose processes run elsewhere, have no pid here, and can
// be found again. It is optional. With it there is one pod per name for them too:
// a launch that finds one running fails with [ErrRunning], [Launcher.Attach] and
// [Launcher.List] know it, and what a launcher that died has left behind is ended.
// Without it nothing is recorded of a process that has no pid.
type Finder interface {
	// Find returns the process that was started, or was about to be, for the
	// launch with id of the pod called name, by this program or another. The error
	// wraps [os.ErrProcessDone] if there is none any more; any other says that this
	// cannot be told now, and then nobody is started in its place. It may be called
	// from any number of goroutines.
	Find(ctx context.Context, name string, id uuid.UUID) (Process, error)
}

// A Snapshotter is a [Finder] that can learn of all its processes by one question. It is
// optional. [Launcher.List] asks the snapshot about each pod. Without it List asks the
// Finder.
type Snapshotter interface {
	Finder

	// Snapshot returns a Finder whose answers may be as old as the call of Snapshot. It
	// is called once for each List and returns at once: the question is asked by Find. A
	// launch may begin after the question. So before the Finder returns an error that
	// wraps [os.ErrProcessDone], it has to know that of this launch, not only that the
	// snapshot lacks the launch.
	Snapshot() Finder
}

// An Exit is how a process ended.
type Exit struct {
	Code       int            // exit status; meaningless if a signal ended it
	Signal     syscall.Signal // that ended it; 0 if it exited by itself
	CoreDumped bool
	Known      bool // false: it is gone, and the system does not tell how
}

// String says it for a person, as [os.ProcessState] does.
func (e Exit) String() string {
	switch {
	case !e.Known:
		return "exit status unknown"
	case e.Signal != 0 && e.CoreDumped:
		return fmt.Sprintf("signal: %v (core dumped)", e.Signal)
	case e.Signal != 0:
		return fmt.Sprintf("signal: %v", e.Signal)
	}
	return fmt.Sprintf("exit status %d", e.Code)
}
