package readiness

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// Exec runs a command until it exits 0: pg_isready, redis-cli ping.
//
// The command runs in the pod's working directory, with the launcher's environment.
// In addition it gets POD_NAME, POD_PID, POD_RUNTIME_DIR and, of the endpoint that an
// earlier probe learned, POD_NETWORK and POD_ADDRESS; a variable is empty if its value
// is not known. Its stdin is null. It leads a process group, on Windows a job, which the
// probe kills as a whole when the command has exited, its time is over, or the wait ends.
// Children that leave the group survive. If they keep the output open, the attempt waits one
// more second. What the command wrote last shows in the error.
//
// The probe runs a command that exits with another status again. A command that is
// not found, or cannot be started, is final, unless Schedule.Final says otherwise.
type Exec struct {
	// Path is a program, looked up on PATH if it has no slash; a relative one
	// with a slash is taken from the launcher's own directory. Required.
	Path string

	// Args are its arguments, without the program's own name.
	Args []string

	// Env is appended to its environment, as in [exec.Cmd]; it comes last.
	Env []string

	// Schedule of the attempts. If it does not say otherwise, one takes five
	// seconds at most, the second is made after about 20 ms, and they come ever
	// more rarely, up to every second.
	Schedule
}

var (
	_ Probe    = Exec{}
	_ Preparer = Exec{}
)

// Prepare implements [Preparer]: it finds the program.
func (c Exec) Prepare(context.Context, *Setup) (_ Probe, err error) {
	c.Path, err = c.find()
	return c, err
}

// Wait implements [Probe]. The error is a [*PendingError] once ctx is done.
func (c Exec) Wait(ctx context.Context, t Target) (_ Endpoint, err error) {
	what := c.String()
	if c.Path, err = c.find(); err != nil {
		return Endpoint{}, err
	}
	return Poll{
		What:     what,
		Check:    func(ctx context.Context, t Target) (Endpoint, error) { return Endpoint{}, c.run(ctx, t) },
		Schedule: c.Schedule.or(Schedule{First: 20 * time.Millisecond, Max: time.Second, Attempt: 5 * time.Second, Final: finalExec}),
	}.Wait(ctx, t)
}

// String describes the probe.
func (c Exec) String() string {
	return "success of the command " + strings.Join(append([]string{filepath.Base(c.Path)}, c.Args...), " ")
}

// find makes sure that the fields can work, and finds the program.
func (c Exec) find() (path string, err error) {
	if c.Path == "" {
		return "", errors.New("readiness.Exec.Path: it is empty")
	}
	for i, arg := range c.Args {
		if strings.IndexByte(arg, 0) >= 0 {
			return "", fmt.Errorf("readiness.Exec.Args: number %d, %q, holds a NUL", i, arg)
		}
	}
	for _, v := range c.Env {
		if strings.IndexByte(v, '=') <= 0 || strings.IndexByte(v, 0) >= 0 {
			return "", fmt.Errorf("readiness.Exec.Env: an entry is not NAME=value: %q", strings.SplitN(v, "=", 2)[0])
		}
	}
	if err := c.Schedule.check("Exec"); err != nil {
		return "", err
	}
	if path, err = exec.LookPath(c.Path); err != nil {
		return "", fmt.Errorf("readiness.Exec.Path: %w", err)
	}
	if path, err = filepath.Abs(path); err != nil {
		return "", fmt.Errorf("readiness.Exec.Path: %w", err)
	}
	return path, nil
}

// run makes one attempt.
func (c Exec) run(ctx context.Context, t Target) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	var said lastBytes
	cmd := exec.Command(c.Path, c.Args...)
	cmd.Dir = t.WorkDir
	cmd.Env = append(append(cmd.Environ(),
		"POD_NAME="+t.Name, "POD_PID="+pidOrEmpty(t.PID), "POD_RUNTIME_DIR="+t.RuntimeDir,
		"POD_NETWORK="+t.Endpoint.Network, "POD_ADDRESS="+t.Endpoint.Address), c.Env...)
	cmd.Stdout, cmd.Stderr = &said, &said
	// Somebody who has left the group may hold its output open. Nobody else waits
	// for this: it is long enough that what was written is read first, however
	// long this process has to wait for a processor.
	cmd.WaitDelay = time.Second
	err := runGroup(ctx, cmd)
	if _, dirErr := os.Stat(t.WorkDir); errors.Is(err, fs.ErrNotExist) && dirErr != nil {
		return fmt.Errorf("%w: the pod's working directory: %w", err, dirErr)
	}
	if err == nil || errors.Is(err, exec.ErrWaitDelay) {
		return nil
	}
	if words := bytes.TrimSpace(said.kept); len(words) > 0 {
		return fmt.Errorf("%w: %q", err, words)
	}
	return err
}

func pidOrEmpty(pid int) string {
	if pid == 0 {
		return ""
	}
	return strconv.Itoa(pid)
}

// finalExec reports whether running the command will not get better after err.
func finalExec(err error) bool {
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		return false
	}
	for _, errno := range []error{context.DeadlineExceeded, syscall.EAGAIN, syscall.ENOMEM, syscall.ETXTBSY, syscall.EMFILE, syscall.ENFILE, syscall.EINTR} {
		if errors.Is(err, errno) {
			return false
		}
	}
	return true
}

// lastBytes keeps the last half KiB that is written to it.
type lastBytes struct{ kept []byte }

// Write implements io.Writer.
func (l *lastBytes) Write(p []byte) (int, error) {
	const most = 512
	l.kept = append(l.kept, p[max(0, len(p)-most):]...)
	if more := len(l.kept) - most; more > 0 {
		l.kept = append(l.kept[:0], l.kept[more:]...)
	}
	return len(p), nil
}
