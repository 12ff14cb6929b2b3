package slurm

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/google/uuid"

	"github.com/podlaunch/podlaunch/launcher"
)

// A Starter starts srun as [launcher.Local] does, and sees to it that its job goes with
// it. Slurm does not: a job that waits in the queue stays there when its srun is killed,
// and gets a node later, for nobody; one that runs keeps its node for InactiveLimit, which
// is for ever by default. So each launch's job has a name of its own ([JobName]), and is
// cancelled by that when srun has ended, however it has. The command has to be one that
// [Srun] has resolved, without a job name of its own; any other is started as it is.
//
// A launcher that dies cancels nothing. The next launch of the pod's name does: a file in
// the pod's runtime directory names the job. If Slurm cannot be asked the launch fails, for
// the job may get a node. Nobody cancels it if there is no such launch, or if somebody has
// removed the directory.
type Starter struct {
	launcher.Local

	// Scancel and Squeue are the paths of these programs. Empty means that they are
	// looked up on PATH.
	Scancel, Squeue string
}

var _ launcher.Starter = Starter{}

const jobPrefix = "podlaunch-"

// JobName is what Slurm calls the job of a launch.
func JobName(launch uuid.UUID) string { return jobPrefix + launch.String() }

// Start implements [launcher.Starter].
func (s Starter) Start(ctx context.Context, req launcher.StartRequest) (launcher.Process, error) {
	t, err := s.tools(req.Command.Env)
	if err != nil {
		return nil, err
	}
	job := JobName(req.ID)
	args, ours, err := named(req.Command.Args, job)
	if err != nil {
		return nil, err
	}
	if err := t.cancelEarlier(ctx, req.RuntimeDir); err != nil {
		return nil, fmt.Errorf("slurm.Starter: %w", err)
	}
	if !ours {
		return s.Local.Start(ctx, req)
	}
	if err := note(req.RuntimeDir, job); err != nil {
		return nil, fmt.Errorf("slurm.Starter: %w", err)
	}
	req.Command.Args = args
	p, err := s.Local.Start(ctx, req)
	if err != nil {
		os.Remove(notePath(req.RuntimeDir, job))
		return nil, err
	}
	return &process{p, t, job, req.RuntimeDir}, nil
}

// named returns the arguments of srun with the name of the job, and whether they are those
// of Srun.
func named(args []string, job string) (_ []string, ours bool, err error) {
	if len(args) == 0 || args[0] != anyJob {
		return args, false, nil
	}
	args = slices.Clone(args)
	args[0] = "--job-name=" + job
	for _, arg := range args[1:] {
		switch {
		case arg == "--":
			return args, true, nil
		case strings.HasPrefix(arg, "--job-name"), strings.HasPrefix(arg, "-J"):
			return nil, true, fmt.Errorf("slurm.Srun.Args: %q names the job, which slurm.Starter finds by a name of its own: leave it out", arg)
		}
	}
	return args, true, nil
}

// A process is srun, with its job.
type process struct {
	launcher.Process
	tools      tools
	job        string
	runtimeDir string
}

var (
	_ launcher.Reaper   = (*process)(nil)
	_ launcher.Releaser = (*process)(nil)
	_ launcher.Leader   = (*process)(nil)
)

// SignalFirst implements [launcher.Leader].
func (p *process) SignalFirst(ctx context.Context, sig os.Signal) error {
	if l, ok := p.Process.(launcher.Leader); ok {
		return l.SignalFirst(ctx, sig)
	}
	return p.Process.Signal(ctx, sig)
}

// Release implements [launcher.Releaser].
func (p *process) Release() {
	if r, ok := p.Process.(launcher.Releaser); ok {
		r.Release()
	}
}

// Reap implements [launcher.Reaper].
func (p *process) Reap(ctx context.Context) error {
	var err error
	if r, ok := p.Process.(launcher.Reaper); ok {
		err = r.Reap(ctx)
	}
	cancelled := p.tools.cancel(ctx, p.job)
	if cancelled == nil {
		os.Remove(notePath(p.runtimeDir, p.job)) // if it stays, the next launch asks for the job in vain
	}
	return errors.Join(err, cancelled)
}
