package launcher

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/podlaunch/podlaunch/readiness"
)

// A Stage is a step of a launch.
type Stage string

// The stages of a launch, in order.
const (
	StageResolve Stage = "resolve" // the command
	StageDir     Stage = "dir"     // the runtime directory
	StageOwn     Stage = "own"     // the pod's name
	StageLog     Stage = "log"     // opening the log
	StageStart   Stage = "start"   // starting the process
	StageReady   Stage = "ready"   // waiting for it to be ready
)

var (
	// ErrExitedEarly says that the pod exited before it was ready. How it
	// ended is in [Error.Exit].
	ErrExitedEarly = errors.New("pod exited before becoming ready")

	// ErrTimeout says that the time was over: the Launcher's, or that of the
	// caller's context. errors.Is finds [context.DeadlineExceeded] as well.
	ErrTimeout = errors.New("pod did not become ready in time")

	// ErrRunning says that the pod runs already. Its pid and where it answers
	// are in [Error.PID] and [Error.Endpoint]; [Launcher.Attach] gives it.
	ErrRunning = errors.New("pod is running already")

	// ErrHeld says that the name of the pod was not free: somebody else was still
	// launching it when the time was over, or processes that an earlier pod left
	// behind hold it, and then they are named. [Launcher.Stop] ends those, and
	// [Launcher.Reclaim] has a launch end them.
	ErrHeld = errors.New("pod name is held")

	// ErrAbandoned says that the pod was never ready, or was to end with its launcher
	// ([WithParent]), and that its launcher is gone: something of it may still run. errors.Is
	// finds [os.ErrProcessDone], too, if its first process has ended. [Launcher.Stop] ends the
	// rest, or the next launch.
	ErrAbandoned = errors.New("it was never ready, and nobody is launching it any more")

	// ErrNotOurs says that the process which should be the pod is another one,
	// or that another one answers on its socket. It was not signalled.
	ErrNotOurs = errors.New("process is not the pod")
)

// An Error is why a launch failed, and every failed launch returns one. So do the other
// calls that are about a name: [Launcher.Ensure], [Launcher.Attach], [Launcher.Stop] and
// [Launcher.Remove].
//
// errors.Is finds the reason in it; [os.IsNotExist] and its like do not, for they do not
// unwrap errors. The reason is [ErrExitedEarly]; [ErrTimeout];
// [context.Canceled] and the cause that the caller's context was given;
// [ErrInvalidSpec]; the sentinels of packages runtimedir, logsource and
// readiness; [exec.ErrNotFound]; and the system's own error beneath.
type Error struct {
	Op       string             // what was called: "launch", "ensure", "attach", "stop", "remove"; empty: "launch"
	Stage    Stage              // in which it failed
	Name     string             // the pod's
	Command  Command            // path and arguments, an overlay's text replaced by its size; never Env, nor Attr
	PID      int                // 0 if no process was started, or it has none here
	Elapsed  time.Duration      // from the call to the verdict
	Exit     *Exit              // how the pod ended; nil if it did not end by itself
	Head     []string           // its first 64 lines, from the first MiB of its log, as it wrote them: they may hold any bytes
	Tail     []string           // its last 64 lines, from the last MiB, likewise; Head and Tail overlap where there are few
	Cause    string             // the line of Head or Tail that looks like the reason; empty if none does
	LogPath  string             // where the whole log is; empty if there is none
	Endpoint readiness.Endpoint // of the pod that runs already, with ErrRunning
	Err      error              // why; see the sentinels

	Pending  string   // what readiness was still waiting for
	Notes    []string // what else was seen that may explain it
	Dropped  int      // lines that Spec.Progress was too slow to get
	Leftover error    // what could not be cleared; nil if nothing is left
}

// What Error.Op can be.
const (
	opLaunch = "launch"
	opEnsure = "ensure"
	opAttach = "attach"
	opStop   = "stop"
	opRemove = "remove"
)

// Unwrap returns Err, and Leftover if there is one.
func (e *Error) Unwrap() []error {
	errs := make([]error, 0, 2)
	for _, err := range []error{e.Err, e.Leftover} {
		if err != nil {
			errs = append(errs, err)
		}
	}
	return errs
}

// redact returns cmd as an error may hold it: without its environment, and
// with the overlay's text replaced by its size.
func redact(cmd Command, overlay string) Command {
	c := Command{Path: cmd.Path, Arg0: cmd.Arg0, Args: append([]string(nil), cmd.Args...)}
	if overlay != "" {
		for i, arg := range c.Args {
			c.Args[i] = strings.ReplaceAll(arg, overlay, fmt.Sprintf("<overlay: %d bytes>", len(overlay)))
		}
	}
	return c
}

// printable returns s, or as much of it as fits into most bytes, with
// everything escaped that is not meant to be seen: control characters, invalid
// UTF-8, characters that change the direction of text.
func printable(s string, most int) string {
	var b strings.Builder
	for i, r := range s {
		piece := string(r)
		switch {
		case r == utf8.RuneError && !strings.HasPrefix(s[i:], piece):
			piece = fmt.Sprintf(`\x%02x`, s[i])
		case !unicode.IsPrint(r):
			piece = strconv.QuoteRune(r)
			piece = piece[1 : len(piece)-1]
		}
		if b.Len()+len(piece) > most {
			fmt.Fprintf(&b, "… (%d bytes)", len(s))
			break
		}
		b.WriteString(piece)
	}
	return b.String()
}

// round takes digits off that say nothing.
func round(d time.Duration) time.Duration {
	switch {
	case d > 10*time.Second:
		return d.Round(100 * time.Millisecond)
	case d > time.Second:
		return d.Round(10 * time.Millisecond)
	}
	return d.Round(10 * time.Microsecond)
}

// A plainError says a text in place of that of err.
type plainError struct {
	text string
	err  error
}

func (e plainError) Error() string { return e.text }
func (e plainError) Unwrap() error { return e.err }

// shown returns err with a text that can be printed, for any bytes that a pod has put
// into it.
func shown(err error) error { return plainError{printable(err.Error(), 4<<10), err} }
