package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"sync"
	"syscall"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/podlaunch/podlaunch/launcher"
)

func newSignal(c *cli) *cobra.Command {
	name := "TERM"
	cmd := &cobra.Command{
		Use:     "signal [-s SIGNAL] NAME...",
		Aliases: []string{"kill"},
		Short:   "Send a signal to pods",
		Long: `Send a signal to the first process of each pod, and to no other. If one of the
pods is not running, none gets the signal. podctl signal does not wait for what
comes of it; podctl stop ends all that belongs to a pod, and waits.`,
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
		return c.signalAll(cmd, args, sig)
	}
	cmd.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		var flag *pflag.NotExistError
		if errors.As(err, &flag) && isSignal(flag.GetSpecifiedShortnames()) {
			err = fmt.Errorf("%w; %s", err, howToGive(cmd, flag.GetSpecifiedShortnames(), nil))
		}
		return usageError(cmd, err)
	})
	return cmd
}

func isSignal(word string) bool {
	_, err := signalOf(word)
	return err == nil
}

// howToGive says how cmd is given the signal that word names.
func howToGive(cmd *cobra.Command, word string, names []string) string {
	if len(names) == 0 {
		names = []string{"NAME"}
	}
	return fmt.Sprintf("a signal is given with -s: podctl %s -s %s %s", cmp.Or(cmd.CalledAs(), cmd.Name()), word, commandLine(names))
}

// signalAll sends sig to the pods called names, if all of them run.
func (c *cli) signalAll(cmd *cobra.Command, names []string, sig syscall.Signal) error {
	var mu sync.Mutex
	pods := make(map[string]*launcher.Pod)
	err := each(cmd.Context(), names, func(ctx context.Context, name string) error {
		pod, err := c.attach(ctx, name)
		if err != nil {
			return err
		}
		mu.Lock()
		defer mu.Unlock()
		pods[name] = pod
		return nil
	})
	for _, pod := range pods {
		defer pod.Release()
	}
	switch first := names[0]; {
	case err == nil:
		return each(cmd.Context(), names, func(ctx context.Context, name string) error { return c.signal(ctx, pods[name], sig) })
	case errors.Is(err, fs.ErrNotExist) && pods[first] == nil && isSignal(first):
		return usageError(cmd, fmt.Errorf("no pod called %s is running, and %s", first, howToGive(cmd, first, names[1:])))
	case len(pods) > 0:
		return together([]error{err, errors.New("no pod was sent the signal: name those that run")})
	}
	return err
}

// signal sends sig to pod.
func (c *cli) signal(ctx context.Context, pod *launcher.Pod, sig syscall.Signal) error {
	name := pod.Name()
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
