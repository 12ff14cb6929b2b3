package main

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/podlaunch/podlaunch/launcher"
	"github.com/podlaunch/podlaunch/readiness"
	"github.com/podlaunch/podlaunch/runtimedir"
)

// The verbs that launch.
const (
	verbRun    = "run"
	verbStart  = "start"
	verbEnsure = "ensure"
)

func newRun(c *cli) *cobra.Command {
	p := &plan{Verb: verbRun, Timeout: launcher.DefaultTimeout, Dir: ".", Stdout: stdoutLog}
	cmd := newLaunch(c, p, &cobra.Command{
		Use:     "run NAME [--ready WHAT]... [flags] -- CMD [ARG]...",
		Short:   "Run an ordinary program, and wait until it is ready",
		Long:    runLong,
		Example: fiveExamples,
	})
	inner := cmd.Args
	cmd.Args = func(cmd *cobra.Command, args []string) error {
		if err := inner(cmd, args); err != nil {
			return err
		}
		if len(args) < 2 {
			return usageError(cmd, fmt.Errorf("there is no program: podctl run %s -- CMD [ARG]", shown(args[0])))
		}
		return nil
	}
	return cmd
}

func newStart(c *cli) *cobra.Command {
	p := &plan{Verb: verbStart, Timeout: launcher.DefaultTimeout, Dir: "/", Stdout: stdoutNull, OverlayAs: "argument"}
	return newLaunch(c, p, &cobra.Command{
		Use:     "start NAME [flags] [-- CMD [ARG]...]",
		Short:   "Start a program that is written to be a pod",
		Long:    startLong,
		Example: startExamples,
	})
}

func newEnsure(c *cli) *cobra.Command {
	p := &plan{Verb: verbEnsure, Timeout: launcher.DefaultTimeout, Dir: "/", Stdout: stdoutNull, OverlayAs: "argument"}
	return newLaunch(c, p, &cobra.Command{
		Use:   "ensure NAME [flags] [-- CMD [ARG]...]",
		Short: "Make sure that a pod is running",
		Long: `Make sure that a pod is running: start it as podctl start does, unless it is
running already. Says which of the two it was. However many ask at once, there
is one pod.

A pod that is running is left as it is, whatever CMD and the flags say. If they
ask for another pod, standard error says in what it is different. It also says
so if the program was built anew, or if nobody can tell.`,
		Example: `  podctl ensure alice --overlay alice.toml -- ./my-pod
  podctl ensure alice && podctl dial alice`,
	})
}

// newLaunch makes cmd a command that launches what p and its arguments say.
func newLaunch(c *cli, p *plan, cmd *cobra.Command) *cobra.Command {
	cmd.DisableFlagsInUseLine = true
	cmd.Args = nameAndCommand
	cmd.ValidArgsFunction = c.completeLaunch
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if err := p.settle(args[1:]); err != nil {
			return err
		}
		l, err := p.prepare(c, cmd, args[0])
		if err != nil {
			return err
		}
		return l.launch(cmd.Context())
	}
	addFlags(cmd, p.commonFlags())
	if p.Verb != verbRun {
		addFlags(cmd, p.overlayFlags())
	}
	return cmd
}

// A launch is one launch of a plan.
type launch struct {
	c        *cli
	plan     *plan
	launcher launcher.Launcher
	spec     launcher.Spec
	waiting  *waiting
	recorder *recorder
	again    bool // it replaces a pod
}

// prepare makes sure that the plan can be launched as name. It touches nothing.
func (p *plan) prepare(c *cli, cmd *cobra.Command, name string) (*launch, error) {
	l := &launch{c: c, plan: p, waiting: newWaiting(name, p.Timeout)}
	l.recorder = &recorder{c: c, plan: p, waiting: l.waiting}
	var err error
	if l.launcher, err = p.launcher(c, cmd, l.waiting); err != nil {
		return nil, err
	}
	l.launcher.Observer = l.recorder.observer()
	if l.spec, err = p.spec(c, cmd, name); err != nil {
		return nil, err
	}
	return l, l.hasRoom(cmd.Context())
}

// hasRoom makes sure that a pod which is to announce its socket can have one. The
// launcher does that for its default probe alone.
func (l *launch) hasRoom(ctx context.Context) error {
	if !slices.Contains(l.plan.wanted(), "line") {
		return nil
	}
	dir, err := l.c.podDir(ctx, l.spec.Name)
	if err != nil {
		return err
	}
	if err := runtimedir.CheckSocketPath(filepath.Join(dir, "sock")); err != nil {
		return &podError{l.spec.Name, "could not have its socket: " + errorMessage(err), err}
	}
	return nil
}

// launch launches the pod and says what came of it. Meanwhile a terminal shows
// what is waited for, and anything else gets the pod's lines.
func (l *launch) launch(ctx context.Context) error {
	c, stop := l.c, func() {}
	screen, redraws := terminal(c.err)
	switch {
	case c.json:
	case redraws:
		l.spec.Progress = l.waiting.says
		stop = l.waiting.show(screen)
	default:
		l.spec.Progress = func(line string) { fmt.Fprintf(c.err, "%s: %s\n", shown(l.spec.Name), printable(line)) }
	}
	pod, started, err := l.take(ctx)
	stop()
	l.recorder.complain()
	if err != nil {
		if l.plan.timeline && !c.json && l.recorder.record.Steps != nil {
			drawTimeline(c.out, l.recorder.record, columns(c.out))
		}
		return err
	}
	defer pod.Release() // it goes on without us
	if !started {
		l.compare(pod)
	}
	return l.report(pod, started)
}

// take gets the pod: by Ensure, or by Launch.
func (l *launch) take(ctx context.Context) (pod *launcher.Pod, started bool, err error) {
	if l.plan.Verb == verbEnsure && !l.again {
		return l.launcher.Ensure(ctx, l.spec)
	}
	pod, err = l.launcher.Launch(ctx, l.spec)
	var e *launcher.Error
	if errors.Is(err, launcher.ErrRunning) && errors.As(err, &e) {
		what := fmt.Sprintf("is running already: pid %d%s", e.PID, at(e.Endpoint))
		return nil, false, &codedError{exitRunning, &podError{e.Name, what, err}}
	}
	return pod, err == nil, err
}

// compare says if the pod that is running is another one than was asked for.
func (l *launch) compare(pod *launcher.Pod) {
	name := shown(pod.Name())
	switch parts, err := pod.Differs(l.spec); {
	case err != nil:
		l.c.warn("whether %s is what was asked for cannot be told: %s", name, errorMessage(err))
	case len(parts) > 0:
		l.c.warn("%s is not what was asked for, it differs in: %s; to replace it: podctl stop %s, and then ensure it again", name, strings.Join(parts, ", "), name)
	}
}

// What a launch has come to.
const (
	outcomeReady   = "ready"
	outcomeUp      = "up" // nothing was asked of it
	outcomeStarted = "started"
	outcomeRunning = "running"
	outcomeAgain   = "restarted"
)

// outcomes are what they are called for a person.
var outcomes = map[string]string{
	outcomeReady:   "is ready",
	outcomeUp:      "is up",
	outcomeStarted: "was started",
	outcomeRunning: "was running already",
	outcomeAgain:   "is ready again",
}

func (l *launch) outcome(started bool) string {
	switch {
	case l.again:
		return outcomeAgain
	case !started:
		return outcomeRunning
	case l.plan.Verb == verbEnsure:
		return outcomeStarted
	case l.plan.Verb == verbRun && len(l.plan.Ready) == 0:
		return outcomeUp
	}
	return outcomeReady
}

// A launched pod is what a launch prints as JSON.
type launched struct {
	description
	Outcome  string  `json:"outcome"`
	Timeline *record `json:"timeline,omitempty"`
}

// report says what became of the launch of pod.
func (l *launch) report(pod *launcher.Pod, started bool) error {
	c, outcome, e := l.c, l.outcome(started), pod.Endpoint()
	result := launched{Outcome: outcome, description: description{
		Name: pod.Name(), State: launcher.StateReady, PID: pod.PID(), Network: e.Network, Address: e.Address,
		RuntimeDir: pod.RuntimeDir(), Log: pod.LogPath(),
	}}
	if started {
		result.Launch, result.Started = l.recorder.record.Launch, l.recorder.record.Began
		if l.plan.timeline {
			result.Timeline = &l.recorder.record
		}
	}
	text := fmt.Sprintf("%s %s: pid %d%s", shown(pod.Name()), outcomes[outcome], pod.PID(), at(e))
	if outcome == outcomeUp {
		text += "; whether it answers was not asked, see podctl help ready"
	}
	if err := c.say(text, result); err != nil || c.json || !l.plan.timeline {
		return err
	}
	if !started {
		c.warn("%s was launched before: podctl timeline %[1]s", shown(pod.Name()))
		return nil
	}
	return drawTimeline(c.out, l.recorder.record, columns(c.out))
}

// at is where a pod answers, after a comma; empty if nobody knows.
func at(e readiness.Endpoint) string {
	if e == (readiness.Endpoint{}) {
		return ""
	}
	return ", " + shown(e.String())
}
