package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/podlaunch/podlaunch/launcher"
	"github.com/podlaunch/podlaunch/logsource"
)

// logFlags are the flags of podctl logs.
type logFlags struct {
	follow         bool
	lines          int // negative: all
	since          string
	stdout, stderr bool
}

func newLogs(c *cli) *cobra.Command {
	f := logFlags{lines: -1}
	cmd := &cobra.Command{
		Use:     "logs [-f] [-n LINES] [--since TIME] NAME",
		Aliases: []string{"log"},
		Short:   "Print a pod's log",
		Long: `Print a pod's log as it is, also of a pod that is gone or has never been ready.
What it writes is for the terminal to interpret.

With -f, wait for more, until the pod is gone or ^C; neither is an error. A pod
that is being launched is waited for first. The log of a pod that is abandoned
(podctl help ls) is not followed.

--since begins with the first line that is not older than that: a duration, as
10m, or a time, as 2026-01-31T08:00:00Z. The pod itself has to begin its lines
with the time; a time without a zone is taken for this machine's ($TZ). If no
line has one, that is an error.

The log of podctl run has both standard error and standard output; that of
podctl start has standard error alone. --stderr and --stdout print one of them,
where they are apart (see --stdout of podctl run).`,
		Example: `  podctl logs redis
  podctl logs -n 20 -f nginx
  podctl logs --since 10m postgres
  podctl logs -f alice | grep --line-buffered WARN`,
		DisableFlagsInUseLine: true,
		Args:                  oneName,
		ValidArgsFunction:     c.completeNames(),
	}
	addFlags(cmd, []option{
		{"follow", "f", &f.follow, "wait for more", nil},
		{"lines", "n", &f.lines, "print the last `N` lines only; -1 means all", nil},
		{"since", "", &f.since, "print what was written since `time`, or so long ago", nil},
		{"stderr", "", &f.stderr, "print standard error alone", nil},
		{"stdout", "", &f.stdout, "print standard output alone", nil},
	})
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if f.stdout && f.stderr {
			return usageError(cmd, errors.New("--stdout and --stderr: it is one or the other, or neither for both"))
		}
		since, err := sinceOf(f.since, time.Now())
		if err != nil {
			return usageError(cmd, err)
		}
		return c.logs(cmd.Context(), args[0], f, since)
	}
	return cmd
}

// sinceOf is the time that --since names; zero if it is empty.
func sinceOf(text string, now time.Time) (time.Time, error) {
	if text == "" {
		return time.Time{}, nil
	}
	if d, err := time.ParseDuration(text); err == nil && d >= 0 {
		return now.Add(-d), nil
	}
	if t, ok := timeIn([]byte(text)); ok {
		return t, nil
	}
	return time.Time{}, fmt.Errorf("--since is %q: it can be a duration, as 10m, or a time, as 2026-01-31T08:00:00Z", text)
}

// logs prints the log of the pod called name, as f says.
func (c *cli) logs(ctx context.Context, name string, f logFlags, since time.Time) error {
	var pod *launcher.Pod
	if f.follow {
		l, err := c.patient()
		if err != nil {
			return err
		}
		switch pod, err = l.Attach(ctx, name); {
		case errors.Is(err, fs.ErrNotExist):
			if s, err := c.find(ctx, name); err == nil && s.State == stateAbandoned {
				c.warn("the log of %s is not followed: it %s; %s", shown(name), lostLauncher, howToEnd(s))
			}
		case err != nil:
			return seenEnough(ctx, err)
		default:
			defer pod.Release()
		}
	}
	path, err := c.logFile(ctx, name, f)
	if err != nil {
		return err
	}
	file, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return &codedError{exitNotRunning, &podError{name, "has no log: " + errorMessage(err), err}}
	}
	if err != nil {
		return err
	}
	defer file.Close()
	from, err := beginning(file, f.lines, since)
	if err != nil {
		return &podError{name, err.Error(), err}
	}
	if pod == nil {
		if _, err := file.Seek(from, io.SeekStart); err != nil {
			return err
		}
		return c.copyLog(file)
	}
	log, err := follow(ctx, pod, path, from, f.stdout)
	if err != nil {
		return err
	}
	defer log.Close()
	return seenEnough(ctx, c.copyLog(log))
}

// seenEnough is err, or nil if it is because of a ^C: who follows a log ends it so.
func seenEnough(ctx context.Context, err error) error {
	var interrupt *interruptError
	if err == nil || !errors.As(context.Cause(ctx), &interrupt) {
		return err
	}
	if interrupt.signal == syscall.SIGINT {
		return nil
	}
	return interrupt
}

// logFile is where the log is that f asks for: where the record says, or else, after
// a launch that failed, in the usual place.
func (c *cli) logFile(ctx context.Context, name string, f logFlags) (string, error) {
	s, err := c.find(ctx, name)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return "", err
	}
	dir, path := s.RuntimeDir, s.LogPath
	if path == "" {
		if dir, err = c.podDir(ctx, name); err != nil {
			return "", err
		}
		path = filepath.Join(dir, logsource.DefaultName)
	}
	if !f.stdout && !f.stderr {
		return path, nil
	}
	r, err := c.recordOf(ctx, name)
	switch {
	case err != nil:
		return "", fmt.Errorf("whether standard output and error are apart cannot be told: %w", err)
	case r.Plan.Stdout == stdoutLog:
		return "", &podError{name, "has standard output and error in one log, where nobody can tell them apart; podctl run --stdout file keeps them apart", errors.ErrUnsupported}
	case f.stderr:
		return path, nil
	case r.Plan.Stdout == stdoutNull:
		return "", &podError{name, "has the null device as standard output: it was launched with --stdout null, the default of podctl start", errors.ErrUnsupported}
	}
	return filepath.Join(dir, logsource.StdoutName), nil
}

// follow returns a reader of what pod writes into the file at path, from there on,
// which ends with the pod.
func follow(ctx context.Context, pod *launcher.Pod, path string, from int64, stdout bool) (io.ReadCloser, error) {
	if !stdout {
		return pod.FollowFrom(ctx, from)
	}
	log, err := logsource.Follow(untilGone(ctx, pod), path, true)
	if err != nil {
		return nil, err
	}
	if _, err := io.CopyN(io.Discard, log, from); err != nil {
		log.Close()
		return nil, err
	}
	return log, nil
}

// untilGone returns a context that ends with ctx, and when pod is gone.
func untilGone(ctx context.Context, pod *launcher.Pod) context.Context {
	ctx, cancel := context.WithCancelCause(ctx)
	go func() {
		select {
		case <-pod.Done():
			cancel(io.EOF)
		case <-ctx.Done():
		}
	}()
	return ctx
}

// copyLog prints the rest of log: as it is, or as an object for each line.
func (c *cli) copyLog(log io.Reader) error {
	if !c.json {
		_, err := io.Copy(c.out, log)
		return notEnd(err)
	}
	out := json.NewEncoder(c.out)
	out.SetEscapeHTML(false)
	for line, err := range logsource.Lines(log) {
		if err == nil || len(line) > 0 {
			if err := out.Encode(map[string]string{"line": string(line)}); err != nil {
				return err
			}
		}
		if err != nil {
			return notEnd(err)
		}
	}
	return nil
}

func notEnd(err error) error {
	if errors.Is(err, io.EOF) {
		return nil
	}
	return err
}

// errNoTimes says that no line of a log has a time.
var errNoTimes = errors.New("writes no time that podctl knows into its log, so --since cannot tell what is new; -n N prints the last lines")

// beginning is where in the log printing begins: n lines before the end, unless n is
// negative, and not before the first line since that time, unless it is zero.
func beginning(log *os.File, n int, since time.Time) (int64, error) {
	var from int64
	if n >= 0 {
		var err error
		if from, err = lastLines(log, n); err != nil {
			return 0, err
		}
	}
	if since.IsZero() {
		return from, nil
	}
	at, err := firstSince(log, since)
	return max(from, at), err
}

// lastLines is where the last n lines of log begin. What comes after the last newline
// is a line as well.
func lastLines(log *os.File, n int) (int64, error) {
	end, err := log.Seek(0, io.SeekEnd)
	if err != nil || n == 0 {
		return end, err
	}
	last := end - 1 // a newline there ends the last line
	buf := make([]byte, 64<<10)
	for end > 0 {
		part := buf[:min(int64(len(buf)), end)]
		end -= int64(len(part))
		if _, err := log.ReadAt(part, end); err != nil && err != io.EOF {
			return 0, err
		}
		for {
			i := bytes.LastIndexByte(part, '\n')
			if i < 0 {
				break
			}
			part = part[:i]
			if at := end + int64(i); at != last {
				if n--; n == 0 {
					return at + 1, nil
				}
			}
		}
	}
	return 0, nil
}

// firstSince is where the first line of log begins that has a time which is not before
// since, or its end if there is none. Without any time it returns errNoTimes, unless
// the log is empty.
func firstSince(log *os.File, since time.Time) (int64, error) {
	if _, err := log.Seek(0, io.SeekStart); err != nil {
		return 0, err
	}
	var begin, end int64
	timed := false
	for line, err := range logsource.LinesAt(log, &end) {
		if t, ok := timeIn(line); ok {
			timed = true
			if !t.Before(since) {
				return begin, nil
			}
		}
		if err != nil && err != io.EOF {
			return 0, err
		}
		if err == nil {
			begin = end
		}
	}
	size, err := log.Seek(0, io.SeekEnd)
	if err == nil && !timed && size > 0 {
		err = errNoTimes
	}
	return size, err
}
