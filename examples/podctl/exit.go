package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"strings"

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
	exitInterrupted = 130 // 128 and the number of SIGINT, as shells have it
)

func exitCodesTopic() *cobra.Command {
	return &cobra.Command{
		Use:   "exit-codes",
		Short: "What the exit codes mean",
		Long: fmt.Sprintf(`  %3d  done; of status: the pod is ready
  %3d  something else went wrong
  %3d  the command line is wrong: a flag, the name of a pod, an overlay
  %3d  the pod is not running
  %3d  somebody else is launching the pod, or its name is still held by processes
       that an earlier pod has left behind
  %3d  the pod is running and does not answer
  %3d  start: the pod is running already
  %3d  start, ensure: the pod did not become ready; nothing of it is left but the
       log
  %3d  another process has the pod's pid or answers on its socket; it was left
       alone
  %3d  interrupted by a signal

stop, of a pod that is not running, is done.`,
			exitDone, exitFailure, exitUsage, exitNotRunning, exitHeld, exitUnreachable,
			exitRunning, exitNotReady, exitNotOurs, exitInterrupted),
	}
}

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
	return &codedError{exitNotRunning, fmt.Errorf("%s is not running: %w", shown(name), fs.ErrNotExist)}
}

// exitCode is what the program exits with after err.
func exitCode(err error) int {
	var coded *codedError
	switch {
	case err == nil:
		return exitDone
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

// errorMessage is err in one line; empty if there is nothing to say.
func errorMessage(err error) string {
	if err == nil {
		return ""
	}
	return strings.ReplaceAll(err.Error(), "\n", "; ")
}
