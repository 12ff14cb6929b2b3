package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/podlaunch/podlaunch/launcher"
)

// What podctl wait can wait for.
const (
	waitGone  = "gone"
	waitReady = "ready"
)

func newWait(c *cli) *cobra.Command {
	var timeout time.Duration
	until := waitGone
	cmd := &cobra.Command{
		Use:   "wait NAME...",
		Short: "Wait until pods are gone",
		Long: fmt.Sprintf(`Wait until each of the pods is gone, and say how it ended. Where the system does
not tell that, because another program has started the pod, it is unknown. A pod
that is not running is gone.

With --for ready, wait until each that is being launched is ready; one that is
not, and is not being launched, is an error (exit code %d). When --timeout is
over the exit code is %d.`, exitNotRunning, exitNotYet),
		Example: `  podctl wait worker && echo it has ended
  podctl wait --for ready --timeout 1m redis postgres`,
		Args:              someNames,
		ValidArgsFunction: c.completeNames(launcher.StateReady, launcher.StateUnreachable, launcher.StateStarting),
	}
	addFlags(cmd, []option{
		{"for", "", &until, "`what` to wait for: gone or ready", oneOf(waitGone, waitReady)},
		{"timeout", "t", &timeout, "how long to wait; 0 means as long as it takes", nil},
	})
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if _, err := duration("timeout", timeout, cmd); err != nil {
			return err
		}
		wait := map[string]func(context.Context, string) error{waitGone: c.waitGone, waitReady: c.waitReady}[until]
		if wait == nil {
			return usageError(cmd, fmt.Errorf("--for is %q: it can be gone or ready", until))
		}
		ctx := cmd.Context()
		if timeout > 0 {
			var cancel context.CancelFunc
			ctx, cancel = context.WithTimeout(ctx, timeout)
			defer cancel()
		}
		return each(ctx, args, func(ctx context.Context, name string) error {
			err := wait(ctx, name)
			if err != nil && errors.Is(context.Cause(ctx), context.DeadlineExceeded) {
				return &codedError{exitNotYet, &podError{name, fmt.Sprintf("is not %s after %v", until, timeout), err}}
			}
			return err
		})
	}
	return cmd
}

// patient is the Launcher that waits as long as its context does.
func (c *cli) patient() (launcher.Launcher, error) {
	l, err := c.launcher()
	l.Timeout = -1
	return l, err
}

// waitGone waits until the pod called name is gone.
func (c *cli) waitGone(ctx context.Context, name string) error {
	l, err := c.patient()
	if err != nil {
		return err
	}
	pod, err := l.Attach(ctx, name)
	if errors.Is(err, fs.ErrNotExist) {
		return c.sayEnd(name, "was not running", nil)
	}
	if err != nil {
		return err
	}
	defer pod.Release()
	exit, err := pod.Wait(ctx)
	if err != nil {
		return &podError{name, "was not waited for: " + errorMessage(err), err}
	}
	return c.sayEnd(name, "is gone", &exit)
}

// waitReady waits until the pod called name is ready.
func (c *cli) waitReady(ctx context.Context, name string) error {
	l, err := c.patient()
	if err != nil {
		return err
	}
	pod, err := l.Attach(ctx, name)
	if errors.Is(err, fs.ErrNotExist) {
		return notRunning(name)
	}
	if err != nil {
		return err
	}
	defer pod.Release()
	if err := pod.Verify(ctx); err != nil {
		return &codedError{exitUnreachable, &podError{name, "runs, and does not answer: " + errorMessage(err), err}}
	}
	return c.say(fmt.Sprintf("%s is ready: pid %d%s", shown(name), pod.PID(), at(pod.Endpoint())), map[string]any{
		"name": name, "outcome": outcomeReady, "pid": pod.PID(),
	})
}

// An ending is what is printed of a pod that has ended, as JSON.
type ending struct {
	Name    string `json:"name"`
	Outcome string `json:"outcome"`
	Exit    string `json:"exit,omitempty"`
	Code    *int   `json:"exitStatus,omitempty"` // if it exited by itself, and that is known
	Signal  string `json:"signal,omitempty"`     // that ended it
}

// sayEnd says how the pod called name ended, if that is known.
func (c *cli) sayEnd(name, outcome string, exit *launcher.Exit) error {
	e := ending{Name: name, Outcome: strings.TrimPrefix(outcome, "is ")}
	text := shown(name) + " " + outcome
	if exit != nil {
		e.Exit = exit.String()
		text += ": " + e.Exit
		switch {
		case !exit.Known:
		case exit.Signal != 0:
			e.Signal = signalName(exit.Signal)
		default:
			e.Code = &exit.Code
		}
	}
	return c.say(text, e)
}
