package launcher

import (
	"context"
	"testing"
)

// A line that is given up on in the instant in which its step fails has a stage.
func TestStuckWhileItFails(t *testing.T) {
	n := newLaunch(new(Launcher), opLaunch, Spec{Name: "alice"})
	n.fail(StageLog)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if e := n.stuck(ctx); e.Stage != StageLog {
		t.Errorf("the stage is %q: %v", e.Stage, e)
	}
}
