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
	cmd := &cobra.Command{
		Use:   "stop NAME",
		Short: "Stop a pod and wait until it is gone",
		Long: `Stop a pod and wait until it is gone. All processes of its group get SIGTERM; if
the pod is still there after the grace, they get SIGKILL. Then processes that the
pod has left behind, and that still hold its name, are ended in the same way.

A pod that is being launched is waited for, and then stopped. To stop a pod that
is not running is no error.`,
		Example: `  podctl stop alice
  podctl stop --grace 1m alice
  podctl stop --grace 0 alice   # SIGKILL at once`,
		Args:              oneName,
		ValidArgsFunction: c.completeNames(launcher.StateReady, launcher.StateUnreachable, launcher.StateStarting),
	}
	c.ends(cmd, func(ctx context.Context, l *launcher.Launcher, name string) error {
		said, err := stop(ctx, l, name)
		if err == nil {
			err = l.Stop(ctx, name)
		}
		if err == nil {
			fmt.Fprintf(c.out, "%s %s\n", shown(name), said)
		}
		return err
	})
	return cmd
}

func newRm(c *cli) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "rm NAME",
		Short: "Stop a pod and remove all that is kept of it",
		Long: `Stop a pod, as podctl stop does, and remove all that is kept of it: its runtime
directory with the log in it, its record, and the locks of its name. A pod that
never was is no error.`,
		Example: `  podctl rm alice
  podctl ls --json | jq -r '.[] | select(.state == "gone") | .name' | xargs -rn1 podctl rm`,
		Args:              oneName,
		ValidArgsFunction: c.completeNames(),
	}
	c.ends(cmd, func(ctx context.Context, l *launcher.Launcher, name string) error {
		if err := l.Remove(ctx, name); err != nil {
			return err
		}
		fmt.Fprintf(c.out, "%s is removed\n", shown(name))
		return nil
	})
	return cmd
}

// ends makes cmd a command that ends a pod by end, with a grace.
func (c *cli) ends(cmd *cobra.Command, end func(context.Context, *launcher.Launcher, string) error) {
	var grace time.Duration
	cmd.Flags().DurationVar(&grace, "grace", launcher.DefaultGrace, "how long between SIGTERM and SIGKILL; 0 means SIGKILL at once")
	cmd.RegisterFlagCompletionFunc("grace", cobra.NoFileCompletions)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		l, err := c.launcher()
		if err != nil {
			return err
		}
		if l.Grace, err = duration("grace", grace, cmd); err != nil {
			return err
		}
		return end(cmd.Context(), &l, args[0])
	}
}

// stop stops the pod that runs, and says what came of it.
func stop(ctx context.Context, l *launcher.Launcher, name string) (said string, err error) {
	pod, err := l.Attach(ctx, name)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return "was not running", nil
	case errors.Is(err, launcher.ErrHeld): // its record is missing: nobody can tell how it ends
		return "is stopped", nil
	case err != nil:
		return "", err
	}
	defer pod.Release()
	if err := pod.Stop(ctx); err != nil {
		return "", err
	}
	exit, err := pod.Wait(ctx)
	return "is stopped: " + exit.String(), err
}
