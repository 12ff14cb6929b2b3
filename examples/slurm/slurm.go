// Package slurm launches pods on a Slurm cluster. That takes a CommandResolver and
// nothing else: srun in front of the command is a process of this machine, which
// stays as long as the pod does, passes its output on and exits as it does.
//
//	l := launcher.Launcher{
//		Command: slurm.Srun{Command: launcher.Exec("/opt/pod/bin/pod"), Args: []string{"--partition=long"}},
//		Ready:   readiness.Sequence{readiness.ReadyLine{Network: "tcp"}, readiness.TCP{}},
//	}
//
// The pod announces an address that can be reached from here. What holds of such
// a pod, and what does not, is in docs/engines.md.
package slurm

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"path/filepath"
	"slices"

	"github.com/podlaunch/podlaunch/launcher"
)

// Srun runs what another resolver resolves by srun(1), with its output
// unbuffered: otherwise the ready line would wait in srun for more.
type Srun struct {
	// Command is what runs on the cluster. Its path is one of the node's. Required.
	Command launcher.CommandResolver

	// Args of srun: where to run, and with what.
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
	c.Args = slices.Concat([]string{"--unbuffered"}, s.Args, []string{"--", c.Path}, c.Args)
	c.Path = srun
	return c, nil
}
