//go:build !linux && !darwin && !freebsd && !windows

package readiness

import (
	"context"
	"os/exec"
)

// runGroup runs cmd, and kills it when ctx is done. There are no process groups
// here.
func runGroup(ctx context.Context, cmd *exec.Cmd) error {
	if err := cmd.Start(); err != nil {
		return err
	}
	defer context.AfterFunc(ctx, func() { cmd.Process.Kill() })()
	return cmd.Wait()
}
