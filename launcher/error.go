package launcher

import (
	"cmp"
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

	// ErrNotOurs says that the process which should be the pod is another one,
	// or that another one answers on its socket. It was not signalled.
	ErrNotOurs = errors.New("process is not the pod")
)

// An Error is why a launch failed, and every failed launch returns one. So do the other
// calls that are about a name: [Launcher.Ensure], [Launcher.Attach], [Launcher.Stop] and
// [Launcher.Remove].
//
// errors.Is finds the reason in it: [ErrExitedEarly]; [ErrTimeout];
// [context.Canceled] and the cause that the caller's context was given;
// [ErrInvalidSpec]; the sentinels of packages runtimedir, logsource and
// readiness; [exec.ErrNotFound]; and the system's own error beneath.
type Error struct {
	Op       string             // what was called: "launch", "ensure", "attach", "stop", "remove"; empty: "launch"
	Stage    Stage              // in which it failed
	Name     string             // the pod's
	Command  Command            // path and arguments, an overlay's text replaced by its size; never Env
	PID      int                // 0 if no process was started, or it has none here
	Elapsed  time.Duration      // from the call to the verdict
	Exit     *Exit              // how the pod ended; nil if it did not end by itself
	Tail     []string           // its last 8 lines, as it wrote them: they may hold any bytes
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

// tailLines is how many of a pod's last lines an Error keeps.
const tailLines = 8

// Error says it in one line that a person can act on. Control characters are
// escaped, whatever the pod wrote.
func (e *Error) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s %s: ", cmp.Or(e.Op, opLaunch), printable(e.Name, 256))
	b.WriteString(printable(e.reason(), 16<<10))
	for _, note := range e.Notes {
		b.WriteString("; " + printable(note, 2<<10))
	}
	if e.Dropped > 0 {
		fmt.Fprintf(&b, "; the progress callback was too slow for %d lines", e.Dropped)
	}
	if e.Leftover != nil {
		fmt.Fprintf(&b, "; NOT CLEARED: %s", printable(e.Leftover.Error(), 4<<10))
	}
	b.WriteString(" (" + strings.Join(e.circumstances(), ", ") + ")")
	return b.String()
}

// reason is Err with what belongs to it.
func (e *Error) reason() string {
	reason := "unknown reason"
	if e.Err != nil {
		reason = e.Err.Error()
	}
	tail := strings.Join(printableLines(e.Tail), " | ")
	switch {
	case errors.Is(e.Err, ErrExitedEarly) && tail == "":
		reason += ", without a word"
	case errors.Is(e.Err, ErrExitedEarly):
		reason += ": " + tail
		tail = ""
	}
	if e.Pending != "" {
		reason += "; " + e.Pending
	}
	if tail != "" {
		reason += "; its last lines: " + tail
	}
	return reason
}

// circumstances are the facts around the reason.
func (e *Error) circumstances() []string {
	var facts []string
	if e.Exit != nil {
		facts = append(facts, e.Exit.String())
	}
	facts = append(facts, "stage "+string(e.Stage))
	if e.PID != 0 {
		facts = append(facts, "pid "+strconv.Itoa(e.PID))
	}
	facts = append(facts, "after "+round(e.Elapsed).String())
	if e.LogPath != "" {
		facts = append(facts, "log "+printable(e.LogPath, 4<<10))
	}
	return facts
}

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
	c := Command{Path: cmd.Path, Args: append([]string(nil), cmd.Args...)}
	if overlay != "" {
		for i, arg := range c.Args {
			c.Args[i] = strings.ReplaceAll(arg, overlay, fmt.Sprintf("<overlay: %d bytes>", len(overlay)))
		}
	}
	return c
}

// printableLines makes the lines of a tail fit for a message: at most 1 KiB of
// each.
func printableLines(lines []string) []string {
	out := make([]string, len(lines))
	for i, line := range lines {
		out[i] = printable(line, 1<<10)
	}
	return out
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
