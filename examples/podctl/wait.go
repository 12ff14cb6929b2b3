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
that is not running is gone. podctl cannot wait for a pod that is abandoned
(podctl help ls): that is an error (exit code %d).

With --for ready, wait until each that is being launched is ready; one that is
not, and is not being launched, is an error (exit code %d). When --timeout is
over the exit code is %d.`, exitHeld, exitNotRunning, exitNotYet),
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
		if s, err := c.find(ctx, name); err == nil && s.State == stateAbandoned {
			text := "%s; podctl wait cannot see the end of that; podctl stop %s ends it"
			return &codedError{exitHeld, isAbandoned(s, text, remains(s), shown(name))}
		}
		return c.sayEnd(ending{Name: name, Outcome: wasNotRunning}, nil)
	}
	if err != nil {
		return err
	}
	defer pod.Release()
	exit, err := pod.Wait(ctx)
	if err != nil {
		return &podError{name, "was not waited for: " + errorMessage(err), err}
	}
	return c.sayEnd(ending{Name: name, Outcome: "is gone"}, &exit)
}

// waitReady waits until the pod called name is ready.
func (c *cli) waitReady(ctx context.Context, name string) error {
	l, err := c.patient()
	if err != nil {
		return err
	}
	pod, err := l.Attach(ctx, name)
	if errors.Is(err, fs.ErrNotExist) {
		return c.notRunning(ctx, name)
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
	Ended   []int  `json:"ended,omitempty"`      // the pids of what it had left behind
}

// wasNotRunning is the outcome of a pod that has ended before.
const wasNotRunning = "was not running"

// sayEnd says what has become of a pod, and how it ended, if that is known.
func (c *cli) sayEnd(e ending, exit *launcher.Exit) error {
	text := shown(e.Name) + " " + e.Outcome
	e.Outcome = strings.TrimPrefix(e.Outcome, "is ")
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
	if len(e.Ended) > 0 {
		text += "; what it had left behind is ended: " + pidsText(e.Ended)
	}
	return c.say(text, e)
}
