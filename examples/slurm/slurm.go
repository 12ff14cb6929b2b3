// Package slurm launches pods on a Slurm cluster. That takes a CommandResolver: srun in
// front of the command is a process of this machine. It runs as long as the pod, passes the
// pod's output on, and exits as the pod does. A Starter cancels the job if srun ends before
// it.
//
//	l := launcher.Launcher{
//		Command: slurm.Srun{Command: launcher.Exec("/opt/pod/bin/pod"), Args: []string{"--partition=long"}},
//		Starter: slurm.Starter{},
//		Ready:   readiness.Sequence{readiness.ReadyLine{Network: "tcp"}, readiness.TCP{}},
//	}
//
// The pod announces an address that can be reached from here. docs/engines.md says which
// promises hold for such a pod.
package slurm

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"

	"github.com/podlaunch/podlaunch/launcher"
)

// Srun runs another resolver's command by srun(1). The program's output comes at once, in
// whole lines, and the program has no terminal. With --unbuffered srun would give it a
// terminal of 0 columns as standard output: it would colour and break its lines.
type Srun struct {
	// Command is what runs on the cluster. Its path is one of the node's. Required.
	Command launcher.CommandResolver

	// Args of srun: where to run, and with what. --unbuffered and --pty are refused.
	Args []string

	// Path of srun. Empty means that it is looked up on PATH.
	Path string
}

var _ launcher.CommandResolver = Srun{}

// ResolveCommand implements [launcher.CommandResolver].
func (s Srun) ResolveCommand(ctx context.Context, req launcher.Request) (launcher.Command, error) {
	if s.Command == nil {
		return launcher.Command{}, errors.New("slurm.Srun.Command: it is nil")
	}
	c, err := s.Command.ResolveCommand(ctx, req)
	if err != nil {
		return launcher.Command{}, err
	}
	srun := s.Path
	if srun == "" {
		srun = "srun"
	}
	if srun, err = exec.LookPath(srun); err != nil {
		return launcher.Command{}, fmt.Errorf("slurm.Srun.Path: %w", err)
	}
	if srun, err = filepath.Abs(srun); err != nil {
		return launcher.Command{}, err
	}
	if i := slices.IndexFunc(s.Args, makesTerminal); i >= 0 {
		return launcher.Command{}, fmt.Errorf("slurm.Srun.Args: %q makes a terminal of the pod's output, and lines on that differ: leave it out", s.Args[i])
	}
	c.Args = slices.Concat([]string{anyJob}, s.Args, []string{"--", c.Path}, c.Args)
	c.Path, c.Env = srun, withoutTerminal(c.Env, req.Spec.Env)
	return c, nil
}

// anyJob names the job; a [Starter] puts the name of the launch there.
const anyJob = "--job-name=podlaunch"

// makesTerminal reports whether arg makes srun give the program a terminal.
func makesTerminal(arg string) bool {
	option, _, _ := strings.Cut(arg, "=")
	return option == "--pty" || option == "--unbuffered" || option == "-u"
}

// withoutTerminal returns the first of envs that is not nil, or else the caller's
// environment, without the variable that stands for --unbuffered; nil if that is the
// caller's as it is.
func withoutTerminal(envs ...[]string) []string {
	isIt := func(pair string) bool { return strings.HasPrefix(pair, "SLURM_UNBUFFEREDIO=") }
	for _, env := range envs {
		if env != nil {
			return slices.DeleteFunc(slices.Clone(env), isIt)
		}
	}
	if env := os.Environ(); slices.ContainsFunc(env, isIt) {
		return slices.DeleteFunc(env, isIt)
	}
	return nil
}
