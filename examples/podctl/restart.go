package main

import (
	"context"
	"fmt"
	"os"
	"time"

	"github.com/spf13/cobra"

	"github.com/podlaunch/podlaunch/launcher"
)

func newRestart(c *cli) *cobra.Command {
	grace := launcher.DefaultGrace
	cmd := &cobra.Command{
		Use:   "restart NAME...",
		Short: "Stop pods, and launch them as they were",
		Long: `Stop pods and launch them again, each with the command and the flags that it
was launched with, and the environment that podctl has now. One that is gone,
or that did not become ready, is launched.

podctl keeps what it takes in the pod's directory: so it has to have launched
the pod. An overlay is read again from its file; one that came from standard
input is gone. If the pod cannot be launched any more, because its program was
removed for example, it is not stopped.`,
		Example: `  podctl restart redis
  podctl restart redis nginx --grace 1m`,
		Args:              someNames,
		ValidArgsFunction: c.completeNames(),
	}
	addFlags(cmd, []option{graceFlag(&grace)})
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		var errs []error
		for _, name := range args { // one after the other: a terminal has one line
			errs = append(errs, c.restart(cmd, name, grace))
			if cmd.Context().Err() != nil {
				break
			}
		}
		return together(errs)
	}
	return cmd
}

// restart stops the pod called name, if its launch can be done again, and does
// that.
func (c *cli) restart(cmd *cobra.Command, name string, grace time.Duration) error {
	ctx := cmd.Context()
	r, err := c.recordOf(ctx, name)
	if err != nil {
		return err
	}
	p := &r.Plan
	if p.Overlay == "-" {
		return &podError{name, "had its overlay from standard input, which is gone: podctl stop it, and start it anew", errNoRecord}
	}
	l, err := p.prepare(c, cmd, name)
	if err != nil {
		return err
	}
	l.again = true
	if l.launcher.Grace, err = duration("grace", grace, cmd); err != nil {
		return err
	}
	if err := l.check(ctx); err != nil {
		return fmt.Errorf("%s was left as it is: %w", shown(name), err)
	}
	if err := l.launcher.Stop(ctx, name); err != nil {
		return err
	}
	l.waiting.restart()
	return l.launch(ctx)
}

// check looks whether the program and the working directory are there.
func (l *launch) check(ctx context.Context) error {
	dir, err := l.c.podDir(ctx, l.spec.Name)
	if err != nil {
		return err
	}
	resolver := l.launcher.Command
	if resolver == nil {
		resolver = launcher.PodCommand{}
	}
	request := launcher.Request{Spec: l.spec, RuntimeDir: dir}
	if l.launcher.OverlayTransport != launcher.OverlayAsArgument && l.spec.Overlay != "" {
		request.Spec.Overlay, request.OverlayPath = "", dir
	}
	if _, err := resolver.ResolveCommand(ctx, request); err != nil {
		return err
	}
	_, err = os.Stat(l.spec.Dir)
	return err
}
