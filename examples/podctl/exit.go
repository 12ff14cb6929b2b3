package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"

	"github.com/spf13/cobra"

	"github.com/podlaunch/podlaunch/launcher"
	"github.com/podlaunch/podlaunch/runtimedir"
)

// The exit codes. That 3 is "not running" is the rule for init scripts in the
// Linux Standard Base; where that has more codes, ours mean something else.
const (
	exitDone        = 0
	exitFailure     = 1
	exitUsage       = 2
	exitNotRunning  = 3
	exitHeld        = 4
	exitUnreachable = 5
	exitRunning     = 6
	exitNotReady    = 7
	exitNotOurs     = 8
	exitNotYet      = 9
	exitSignal      = 128 // and the number of the signal, as shells have it
	exitInterrupted = exitSignal + 2
	exitTerminated  = exitSignal + 15
)

// A codedError is an error that has an exit code of its own.
type codedError struct {
	code int
	err  error // nil: all has been said
}

func (e *codedError) Error() string {
	if e.err == nil {
		return ""
	}
	return e.err.Error()
}

func (e *codedError) Unwrap() error { return e.err }

// usageError is what is wrong with how cmd was called.
func usageError(cmd *cobra.Command, err error) error {
	return &codedError{exitUsage, fmt.Errorf("%w; see %s --help", err, cmd.CommandPath())}
}

// notRunning is the error of a command that needs the pod called name.
func notRunning(name string) error {
	return &codedError{exitNotRunning, &podError{name, "is not running; podctl ls lists what is", fs.ErrNotExist}}
}

// notRunning is the error of a command that needs the pod called name. It tells if the pod is
// abandoned.
func (c *cli) notRunning(ctx context.Context, name string) error {
	if s, err := c.find(ctx, name); err == nil && s.State == stateAbandoned {
		return &codedError{exitNotRunning, isAbandoned(s, "%s", howToEnd(s))}
	}
	return notRunning(name)
}

// A podError is about one pod.
type podError struct {
	name string
	text string
	err  error // for errors.Is
}

func (e *podError) Error() string { return shown(e.name) + " " + e.text }
func (e *podError) Unwrap() error { return e.err }

// exitCode is what the program exits with after err.
func exitCode(err error) int {
	var coded *codedError
	var several severalErrors
	var interrupt *interruptError
	switch {
	case err == nil:
		return exitDone
	case errors.As(err, &interrupt):
		return interrupt.exitCode()
	case errors.As(err, &several):
		return exitCode(several[0])
	case errors.As(err, &coded):
		return coded.code
	case errors.Is(err, context.Canceled):
		return exitInterrupted
	case errors.Is(err, runtimedir.ErrInvalidName), errors.Is(err, launcher.ErrInvalidSpec):
		return exitUsage
	case errors.Is(err, launcher.ErrRunning):
		return exitRunning
	case errors.Is(err, launcher.ErrHeld), errors.Is(err, launcher.ErrTimeout) && atStage(err, launcher.StageOwn):
		return exitHeld
	case errors.Is(err, launcher.ErrNotOurs):
		return exitNotOurs
	case errors.Is(err, launcher.ErrTimeout), atStage(err, launcher.StageReady):
		return exitNotReady
	}
	return exitFailure
}

func atStage(err error, stage launcher.Stage) bool {
	var e *launcher.Error
	return errors.As(err, &e) && e.Stage == stage
}
