package launcher_test

import (
	"errors"
	"fmt"
	"syscall"
	"testing"

	"github.com/podlaunch/podlaunch/launcher"
)

// Only an end that is known to be a success is no error. The error says what the Exit
// does, as that of os/exec, and errors.As finds the Exit in it.
func TestExitErr(t *testing.T) {
	for _, c := range []struct {
		exit launcher.Exit
		says string // "": success
	}{
		{launcher.Exit{Known: true}, ""},
		{launcher.Exit{Known: true, Code: 3}, "exit status 3"},
		{launcher.Exit{Known: true, Signal: syscall.SIGKILL}, "signal: killed"},
		{launcher.Exit{Known: true, Signal: syscall.SIGABRT, CoreDumped: true}, "signal: aborted (core dumped)"},
		{launcher.Exit{}, "exit status unknown"},
		{launcher.Exit{Code: 3}, "exit status unknown"},
	} {
		t.Run(c.says, func(t *testing.T) {
			err := c.exit.Err()
			if c.exit.Success() != (c.says == "") || c.exit.Success() != (err == nil) {
				t.Fatalf("Success is %v, and the error %v", c.exit.Success(), err)
			}
			if err == nil {
				return
			}
			var e *launcher.ExitError
			if !errors.As(fmt.Errorf("wrapped: %w", err), &e) || e.Exit != c.exit || err.Error() != c.says {
				t.Errorf("the error is %q, of %+v", err, e)
			}
		})
	}
}
