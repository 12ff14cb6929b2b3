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
	var all bool
	cmd := &cobra.Command{
		Use:     "stop NAME... | --all",
		Aliases: []string{"down"},
		Short:   "Stop pods and wait until they are gone",
		Long: `Stop pods and wait until they are gone, several at the same time. All that
belongs to a pod gets SIGTERM, or its --stop-signal; what is still there after
the grace gets SIGKILL. Then processes that the pod has left behind, and that
still hold its name, are ended in the same way.

A pod that is being launched is waited for, and then stopped. What is left of a
pod that is abandoned (podctl help ls) is ended, also by --all. To stop a pod
that is not running is no error. How a pod ended is unknown where the kernel
tells that to the parent alone, for podctl stop is not.`,
		Example: `  podctl stop redis nginx
  podctl stop --all
  podctl stop --grace 1m postgres
  podctl stop --grace 0 worker   # SIGKILL at once`,
		DisableFlagsInUseLine: true,
		ValidArgsFunction:     c.completeNames(launcher.StateReady, launcher.StateUnreachable, launcher.StateStarting, stateAbandoned),
	}
	cmd.Args = func(cmd *cobra.Command, args []string) error {
		switch {
		case !all:
			return someNames(cmd, args)
		case len(args) > 0:
			return usageError(cmd, fmt.Errorf("--all and the name %q: it is one or the other", args[0]))
		}
		return nil
	}
	c.ends(cmd, c.stop, []option{{"all", "a", &all, "stop all pods that run, or may run", nil}}, func(ctx context.Context, l *launcher.Launcher, args []string) ([]string, error) {
		if all {
			return running(ctx, l)
		}
		return args, nil
	})
	return cmd
}

func newRm(c *cli) *cobra.Command {
	cmd := &cobra.Command{
		Use:     "rm NAME...",
		Aliases: []string{"remove"},
		Short:   "Stop pods and remove all that is kept of them",
		Long: `Stop pods, as podctl stop does, and remove all that is kept of them: their
runtime directories with the logs in them, their records, and the locks of their
names. A pod that never was is no error. podctl prune removes all those that are
gone.`,
		Example: `  podctl rm redis nginx
  podctl rm --grace 0 worker`,
		Args:              someNames,
		ValidArgsFunction: c.completeNames(),
	}
	c.ends(cmd, c.remove, nil, func(_ context.Context, _ *launcher.Launcher, args []string) ([]string, error) { return args, nil })
	return cmd
}

// graceFlag is the row of --grace.
func graceFlag(grace *time.Duration) option {
	return option{"grace", "", grace, "how long between the stop signal and SIGKILL; 0 means SIGKILL at once", nil}
}

// ends makes cmd a command that ends pods, each by end, with a grace. which says
// who they are.
func (c *cli) ends(cmd *cobra.Command, end func(context.Context, *launcher.Launcher, string) error, more []option,
	which func(context.Context, *launcher.Launcher, []string) ([]string, error)) {
	grace := launcher.DefaultGrace
	addFlags(cmd, append(more, graceFlag(&grace)))
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		l, err := c.launcher()
		if err != nil {
			return err
		}
		if l.Grace, err = duration("grace", grace, cmd); err != nil {
			return err
		}
		names, unknown := which(cmd.Context(), &l, args)
		err = each(cmd.Context(), names, func(ctx context.Context, name string) error { return end(ctx, &l, name) })
		return together([]error{unknown, err})
	}
}

// remove stops and removes the pod called name.
func (c *cli) remove(ctx context.Context, l *launcher.Launcher, name string) error {
	var left endedLog
	own := *l
	own.Logger = left.logger()
	if err := own.Remove(ctx, name); err != nil {
		return err
	}
	return c.sayEnd(ending{Name: name, Outcome: "is removed", Ended: left.ended()}, nil)
}

// stop stops the pod called name, and says what came of it.
func (c *cli) stop(ctx context.Context, l *launcher.Launcher, name string) error {
	outcome, exit, err := stopPod(ctx, l, name)
	if err != nil {
		return err
	}
	var before launcher.Status
	if outcome == wasNotRunning {
		before, _ = c.find(ctx, name) // what cannot be told is for Launcher.Stop to say
	}
	var left endedLog
	own := *l
	own.Logger = left.logger()
	if err := own.Stop(ctx, name); err != nil { // it ends what the pod has left behind
		return err
	}
	if before.State == stateAbandoned {
		if err := noteEnded(before); err != nil {
			c.warn("podctl ls will call %s abandoned all the same: %v", shown(name), err)
		}
		outcome = "had not become ready, and its launcher is gone; what it had left is ended"
		return c.say(shown(name)+" "+outcome, ending{Name: name, Outcome: outcome, Ended: left.ended()})
	}
	e := ending{Name: name, Outcome: outcome}
	if exit != nil || outcome == wasNotRunning { // else its record was missing, and the pod is among them
		e.Ended = left.ended()
	}
	return c.sayEnd(e, exit)
}

// stopPod stops the pod that runs. exit is nil if nobody can tell how it ended.
func stopPod(ctx context.Context, l *launcher.Launcher, name string) (outcome string, exit *launcher.Exit, err error) {
	pod, err := l.Attach(ctx, name)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return wasNotRunning, nil, nil
	case errors.Is(err, launcher.ErrHeld): // its record is missing
		return "is stopped", nil, nil
	case err != nil:
		return "", nil, err
	}
	defer pod.Release()
	if err := pod.Stop(ctx); err != nil {
		return "", nil, err
	}
	how, err := pod.Wait(ctx)
	return "is stopped", &how, err
}
