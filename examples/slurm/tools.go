package slurm

import (
	"context"
	"fmt"
	"os/exec"
	"strings"
	"time"
)

// tools are the programs by which Slurm is asked.
type tools struct {
	scancel, squeue string
	env             []string // with which srun is started; nil: ours
}

// tools finds the programs.
func (s Starter) tools(env []string) (t tools, err error) {
	if t.scancel, err = findTool("Scancel", s.Scancel, "scancel"); err != nil {
		return t, err
	}
	t.squeue, err = findTool("Squeue", s.Squeue, "squeue")
	t.env = env
	return t, err
}

// findTool returns the path of the program that a field of Starter names, or name on PATH.
func findTool(field, path, name string) (string, error) {
	if path == "" {
		path = name
	}
	found, err := exec.LookPath(path)
	if err != nil {
		return "", fmt.Errorf("slurm.Starter.%s: %w", field, err)
	}
	return found, nil
}

// cancel cancels the job until Slurm does not have it in its queue, nor on a node.
func (t tools) cancel(ctx context.Context, job string) error {
	for delay := 20 * time.Millisecond; ; delay = min(2*delay, time.Second) {
		_, err := t.run(ctx, t.scancel, "--name="+job)
		left := ""
		if err == nil {
			left, err = t.run(ctx, t.squeue, "--noheader", "--format=%i", "--states=PENDING,CONFIGURING,RUNNING,SUSPENDED", "--name="+job)
		}
		if err == nil && left == "" {
			return nil
		}
		select {
		case <-time.After(delay): // Slurm tells nobody
		case <-ctx.Done():
			if err == nil {
				err = fmt.Errorf("it is still job %s", left)
			}
			return fmt.Errorf("cancel the job %s: %w; %w", job, err, context.Cause(ctx))
		}
	}
}

// run runs one of Slurm's programs, and returns what it says.
func (t tools) run(ctx context.Context, path string, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, path, args...)
	cmd.Env = t.env
	cmd.WaitDelay = time.Second
	out, err := cmd.CombinedOutput()
	said := strings.Join(strings.Fields(string(out)), " ")
	if err != nil {
		err = fmt.Errorf("%s: %w: %s", path, err, said)
	}
	return said, err
}
