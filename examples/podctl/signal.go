package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/podlaunch/podlaunch/launcher"
)

func newSignal(c *cli) *cobra.Command {
	name := "TERM"
	cmd := &cobra.Command{
		Use:     "signal [-s SIGNAL] NAME...",
		Aliases: []string{"kill"},
		Short:   "Send a signal to pods",
		Long: `Send a signal to the first process of each pod, and to no other. It does not
wait for what comes of it; podctl stop ends all that belongs to a pod, and
waits.`,
		Example: `  podctl signal -s HUP nginx     # read the configuration again
  podctl kill -s USR1 web worker`,
		DisableFlagsInUseLine: true,
		Args:                  someNames,
		ValidArgsFunction:     c.completeNames(launcher.StateReady, launcher.StateUnreachable),
	}
	addFlags(cmd, []option{{"signal", "s", &name, "`signal`, by its name or number", oneOf(signalNames()...)}})
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		sig, err := signalOf(name)
		if err != nil {
			return usageError(cmd, fmt.Errorf("--signal: %w", err))
		}
		return each(cmd.Context(), args, func(ctx context.Context, name string) error { return c.signal(ctx, name, sig) })
	}
	return cmd
}

// signal sends sig to the pod called name.
func (c *cli) signal(ctx context.Context, name string, sig syscall.Signal) error {
	pod, err := c.attach(ctx, name)
	if err != nil {
		return err
	}
	defer pod.Release()
	if err := pod.Signal(ctx, sig); errors.Is(err, os.ErrProcessDone) {
		return c.notRunning(ctx, name)
	} else if err != nil {
		return &podError{name, "was not signalled: " + errorMessage(err), err}
	}
	return c.say(fmt.Sprintf("%s was sent %s", shown(name), signalName(sig)), map[string]any{
		"name": name, "outcome": "signalled", "signal": signalName(sig), "pid": pod.PID(),
	})
}

func signalName(sig syscall.Signal) string {
	for _, s := range signalTable {
		if s.signal == sig {
			return "SIG" + s.name
		}
	}
	return sig.String()
}

// attach returns the pod called name, which has to run.
func (c *cli) attach(ctx context.Context, name string) (*launcher.Pod, error) {
	l, err := c.launcher()
	if err != nil {
		return nil, err
	}
	pod, err := l.Attach(ctx, name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, c.notRunning(ctx, name)
	}
	return pod, err
}
