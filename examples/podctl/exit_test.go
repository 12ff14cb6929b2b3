package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"syscall"
	"testing"

	"github.com/spf13/cobra"

	"github.com/podlaunch/podlaunch/launcher"
	"github.com/podlaunch/podlaunch/readiness"
	"github.com/podlaunch/podlaunch/runtimedir"
)

// What podctl help exit-codes says, also where a script cannot bring it about.
func TestExitCodes(t *testing.T) {
	at := func(stage launcher.Stage, errs ...error) error {
		return &launcher.Error{Stage: stage, Name: "alice", Err: errors.Join(errs...)}
	}
	for _, row := range []struct {
		err  error
		want int
	}{
		{nil, 0},
		{errors.New("disk full"), 1},
		{at(launcher.StageStart, fs.ErrPermission), 1},
		{at(launcher.StageResolve, fs.ErrNotExist), 1},
		{at(launcher.StageDir, runtimedir.ErrInsecure), 1},
		{usageError(&cobra.Command{Use: "podctl"}, errors.New("what?")), 2},
		{fmt.Errorf("%w: ..", runtimedir.ErrInvalidName), 2},
		{at(launcher.StageResolve, launcher.ErrInvalidSpec), 2},
		{notRunning("alice"), 3},
		{at(launcher.StageOwn, launcher.ErrHeld, launcher.ErrTimeout), 4},
		{at(launcher.StageOwn, launcher.ErrTimeout), 4}, // of Attach
		{at(launcher.StageOwn, launcher.ErrRunning), 6},
		{at(launcher.StageReady, launcher.ErrTimeout), 7},
		{at(launcher.StageReady, launcher.ErrExitedEarly), 7},
		{at(launcher.StageReady, readiness.ErrMalformedReadyLine), 7},
		{at(launcher.StageOwn, launcher.ErrNotOurs), 8},
		{at(launcher.StageOwn, launcher.ErrHeld, context.Canceled), 130},
		{at(launcher.StageReady, context.Canceled), 130},
		{at(launcher.StageReady, context.Canceled, &interruptError{syscall.SIGINT}), 130},
		{at(launcher.StageReady, context.Canceled, &interruptError{syscall.SIGTERM}), 143},
		{&interruptError{syscall.SIGHUP}, 129},
		{severalErrors{notRunning("alice"), at(launcher.StageOwn, launcher.ErrRunning)}, 3},
	} {
		if got := exitCode(row.err); got != row.want {
			t.Errorf("exit code %d, want %d: %v", got, row.want, row.err)
		}
	}
	for state, want := range map[launcher.State]int{
		launcher.StateReady:       0,
		launcher.StateGone:        3,
		launcher.StateStarting:    4,
		launcher.StateUnreachable: 5,
		stateAbandoned:            3,
	} {
		if got := exitCode(stateError(state)); got != want {
			t.Errorf("state %s: exit code %d, want %d", state, got, want)
		}
	}
}
