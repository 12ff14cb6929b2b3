package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"time"

	"github.com/spf13/cobra"

	"github.com/podlaunch/podlaunch/launcher"
)

func newStop(c *cli) *cobra.Command {
	var grace time.Duration
	cmd := &cobra.Command{
		Use:   "stop NAME",
		Short: "Stop a pod and wait until it is gone",
		Long: `Stop a pod and wait until it is gone. All processes of its group get SIGTERM; if
the pod is still there after the grace, they get SIGKILL.

A pod that is being launched is waited for, and then stopped. To stop a pod that
is not running is no error.`,
		Example: `  podctl stop alice
  podctl stop --grace 1m alice
  podctl stop --grace 0 alice   # SIGKILL at once`,
		Args:              oneName,
		ValidArgsFunction: c.completeNames(launcher.StateReady, launcher.StateUnreachable, launcher.StateStarting),
		RunE: func(cmd *cobra.Command, args []string) error {
			l, err := c.launcher()
			if err != nil {
				return err
			}
			if l.Grace, err = duration("grace", grace, cmd); err != nil {
				return err
			}
			return c.stop(cmd.Context(), &l, args[0])
		},
	}
	cmd.Flags().DurationVar(&grace, "grace", launcher.DefaultGrace, "how long between SIGTERM and SIGKILL; 0 means SIGKILL at once")
	cmd.RegisterFlagCompletionFunc("grace", cobra.NoFileCompletions)
	return cmd
}

func (c *cli) stop(ctx context.Context, l *launcher.Launcher, name string) error {
	pod, err := l.Attach(ctx, name)
	if errors.Is(err, fs.ErrNotExist) {
		fmt.Fprintf(c.out, "%s was not running\n", shown(name))
		return nil
	}
	if err != nil {
		return err
	}
	defer pod.Release()
	if err := pod.Stop(ctx); err != nil {
		return err
	}
	exit, err := pod.Wait(ctx)
	if err != nil {
		return err
	}
	fmt.Fprintf(c.out, "%s is stopped: %v\n", shown(name), exit)
	return nil
}
