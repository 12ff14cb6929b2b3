package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/google/uuid"
	"github.com/spf13/cobra"

	"github.com/podlaunch/podlaunch/launcher"
	"github.com/podlaunch/podlaunch/logsource"
)

// A plan has the flags and the arguments of run, start and ensure: all that it takes
// to launch the same pod again.
type plan struct {
	Verb       string        `json:"verb"`              // run, start or ensure
	Program    []string      `json:"program,omitempty"` // with its arguments; empty: the environment's
	Ready      []string      `json:"ready,omitempty"`   // empty: the default
	Timeout    time.Duration `json:"timeout"`           // 0: none
	Dir        string        `json:"dir"`
	Env        []string      `json:"env,omitempty"` // beside podctl's own
	Stdout     string        `json:"stdout"`
	StdinOpen  bool          `json:"stdinOpen,omitempty"`
	StopSignal string        `json:"stopSignal,omitempty"` // empty: SIGTERM
	Overlay    string        `json:"overlay,omitempty"`    // its file
	OverlayAs  string        `json:"overlayAs,omitempty"`
	Session    string        `json:"session,omitempty"`

	logStdout bool // of the flag; Stdout says it
	timeline  bool // print it
}

// Where a pod's standard output goes.
const (
	stdoutNull = "null"
	stdoutLog  = "log"
	stdoutFile = "file"
)

// commonFlags is the table of those flags that run, start and ensure have.
func (p *plan) commonFlags() []option {
	readyWords := make([]string, len(readyKinds))
	for i, k := range readyKinds {
		readyWords[i] = k.word
		if k.value != "" && k.value[0] != '[' {
			readyWords[i] += "="
		}
	}
	return []option{
		{"ready", "r", &p.Ready, "`what` makes it ready, see podctl help ready; may be repeated, and all must hold", oneOf(readyWords...)},
		{"timeout", "t", &p.Timeout, "how long it may take to be ready; 0 means as long as it takes", nil},
		{"dir", "C", &p.Dir, "working `directory` of the pod; should stay as long as the pod does", directories},
		{"env", "e", &p.Env, "`K=V` for the pod, beside the variables that podctl has; may be repeated", nil},
		{"stdout", "", &p.Stdout, "`where` its standard output goes: log, file (a log of its own) or null", oneOf(stdoutLog, stdoutFile, stdoutNull)},
		{"stdin-open", "", &p.StdinOpen, "give it a standard input that never ends, for programs that end with it", nil},
		{"stop-signal", "", &p.StopSignal, "`signal` that stops it, as INT or QUIT (default TERM)", oneOf(signalNames()...)},
		{"timeline", "", &p.timeline, "print how long each step took", nil},
	}
}

// overlayFlags is the table of the flags that only a program has that is written to
// be a pod.
func (p *plan) overlayFlags() []option {
	return []option{
		{"overlay", "", &p.Overlay, "`file` with the TOML that is laid over the pod's configuration; - is standard input", files},
		{"overlay-as", "", &p.OverlayAs, "`how` the overlay gets to the pod: argument, file or descriptor", oneOf("argument", "file", "descriptor")},
		{"session", "", &p.Session, "`UUID` of the session to resume", nil},
		{"log-stdout", "", &p.logStdout, "the same as --stdout log", nil},
	}
}

// settle makes the plan mean the same in any working directory.
func (p *plan) settle(program []string) (err error) {
	p.Program = slices.Clone(program)
	if p.logStdout {
		p.Stdout = stdoutLog
	}
	if len(p.Program) > 0 && strings.Contains(p.Program[0], "/") {
		if p.Program[0], err = filepath.Abs(p.Program[0]); err != nil {
			return err
		}
	}
	if p.Dir, err = filepath.Abs(p.Dir); err != nil {
		return fmt.Errorf("--dir: %w", err)
	}
	if p.Overlay != "" && p.Overlay != "-" {
		if p.Overlay, err = filepath.Abs(p.Overlay); err != nil {
			return fmt.Errorf("--overlay: %w", err)
		}
	}
	return nil
}

// launcher is the Launcher that the plan asks for. Each part of what makes the pod
// ready tells w when it holds.
func (p *plan) launcher(c *cli, cmd *cobra.Command, w *waiting) (launcher.Launcher, error) {
	l, err := c.launcher()
	if err != nil {
		return l, err
	}
	if l.Timeout, err = duration("timeout", p.Timeout, cmd); err != nil {
		return l, err
	}
	switch p.OverlayAs {
	case "", "argument": // the Launcher's own
	case "file":
		l.OverlayTransport = launcher.OverlayAsFile
	case "descriptor":
		l.OverlayTransport = launcher.OverlayAsDescriptor
	default:
		return l, usageError(cmd, fmt.Errorf("--overlay-as is %q: it can be argument, file or descriptor", p.OverlayAs))
	}
	if l.Ready, err = readyProbe(c, p.wanted(), w); err != nil {
		return l, usageError(cmd, err)
	}
	switch {
	case p.Verb == verbRun:
		l.Command = launcher.Exec(p.Program[0], withLog(p.Program[1:])...)
	case len(p.Program) > 0:
		l.Command = podProgram(p.Program)
	}
	return l, nil
}

// wanted is what makes the pod ready, also if nothing is said.
func (p *plan) wanted() []string {
	switch {
	case len(p.Ready) > 0:
		return p.Ready
	case p.Verb == verbRun:
		return []string{"up"}
	}
	return []string{"line"}
}

// withLog is args, with the word for the pod's log as [launcher.Exec] can have it.
func withLog(args []string) []string {
	args = slices.Clone(args)
	for i := range args {
		args[i] = strings.ReplaceAll(args[i], "{log}", "{dir}/"+logsource.DefaultName)
	}
	return args
}

// podProgram resolves to words, followed by a pod's arguments. It is two
// resolvers in a row: the first finds the program as a shell would, the second
// knows the arguments.
func podProgram(words []string) launcher.CommandResolver {
	return launcher.CommandResolverFunc(func(ctx context.Context, req launcher.Request) (launcher.Command, error) {
		found, err := launcher.Exec(words[0]).ResolveCommand(ctx, launcher.Request{RuntimeDir: req.RuntimeDir})
		if err != nil {
			return launcher.Command{}, err
		}
		command, err := launcher.Path(found.Path).ResolveCommand(ctx, req)
		command.Args = slices.Concat(words[1:], command.Args)
		return command, err
	})
}

// spec is the Spec that the plan asks for.
func (p *plan) spec(c *cli, cmd *cobra.Command, name string) (launcher.Spec, error) {
	spec := launcher.Spec{Name: name, Dir: p.Dir, StdinOpen: p.StdinOpen}
	switch p.Stdout {
	case stdoutNull:
	case stdoutLog:
		spec.LogStdout = true
	case stdoutFile:
		spec.Stdout = io.Discard // who sets it has the pod write to a file
	default:
		return spec, usageError(cmd, fmt.Errorf("--stdout is %q: it can be log, file or null", p.Stdout))
	}
	var err error
	if p.StopSignal != "" {
		if spec.StopSignal, err = signalOf(p.StopSignal); err != nil {
			return spec, usageError(cmd, fmt.Errorf("--stop-signal: %w", err))
		}
	}
	if p.Session != "" {
		if spec.Session, err = uuid.Parse(p.Session); err != nil {
			return spec, usageError(cmd, fmt.Errorf("--session: %w", err))
		}
	}
	if spec.Env, err = p.environment(c, cmd); err != nil {
		return spec, err
	}
	if spec.Overlay, err = p.overlayText(c); err != nil {
		return spec, &codedError{exitUsage, fmt.Errorf("--overlay: %w", err)}
	}
	return spec, nil
}

// environment is the pod's; nil if it is ours.
func (p *plan) environment(c *cli, cmd *cobra.Command) ([]string, error) {
	var extra []string
	if c.runtimeDir != "" {
		dir, err := filepath.Abs(c.runtimeDir)
		if err != nil {
			return nil, fmt.Errorf("--runtime-dir: %w", err)
		}
		extra = append(extra, c.variable("RUNTIME_DIR")+"="+dir)
	}
	for _, pair := range p.Env {
		if name, _, ok := strings.Cut(pair, "="); !ok || name == "" {
			return nil, usageError(cmd, fmt.Errorf("--env %q is not K=V", pair))
		}
		extra = append(extra, pair)
	}
	if extra == nil {
		return nil, nil
	}
	return append(os.Environ(), extra...), nil
}

// overlayText reads the overlay; where it is to be an argument, no more of it
// than is needed to see that it is too long.
func (p *plan) overlayText(c *cli) (string, error) {
	in := c.in
	switch p.Overlay {
	case "":
		return "", nil
	case "-":
	default:
		file, err := os.Open(p.Overlay)
		if err != nil {
			return "", err
		}
		defer file.Close()
		in = file
	}
	if p.OverlayAs == "argument" {
		in = io.LimitReader(in, launcher.MaxOverlay+1)
	}
	text, err := io.ReadAll(in)
	return string(text), err
}

// nameAndCommand makes sure that there is one name, and that what follows it
// comes after a --, so that a word too many is not taken for a program.
func nameAndCommand(cmd *cobra.Command, args []string) error {
	dash := cmd.ArgsLenAtDash()
	switch {
	case dash < 0:
		dash = len(args)
	case dash == len(args):
		return usageError(cmd, errors.New("there is no program after --"))
	}
	if dash > 1 {
		return usageError(cmd, fmt.Errorf("unexpected argument %q; the pod's program comes after --", args[1]))
	}
	return oneName(cmd, args[:dash])
}

// signalOf is the signal called name, with SIG or without, or with that number.
func signalOf(name string) (syscall.Signal, error) {
	word := strings.TrimPrefix(strings.ToUpper(name), "SIG")
	for _, s := range signalTable {
		if word == s.name || word == fmt.Sprint(int(s.signal)) {
			return s.signal, nil
		}
	}
	return 0, fmt.Errorf("there is no signal %q: it can be %s, or its number", name, strings.Join(signalNames(), ", "))
}

func signalNames() []string {
	names := make([]string, len(signalTable))
	for i, s := range signalTable {
		names[i] = s.name
	}
	return names
}
