//go:build linux || darwin || freebsd

package readiness

import (
	"context"
	"os/exec"
	"syscall"
)

// runGroup runs cmd in a process group of its own, and kills all of that when
// cmd has exited, or ctx is done.
func runGroup(ctx context.Context, cmd *exec.Cmd) error {
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := cmd.Start(); err != nil {
		return err
	}
	kill := func() { syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	killed := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		kill()
		close(killed)
	})
	// Until we reap the process, only its group can have its number.
	awaitExit(cmd.Process)
	if !stop() {
		<-killed
	}
	kill()
	return cmd.Wait()
}
