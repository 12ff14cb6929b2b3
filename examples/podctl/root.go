package main

import (
	"context"
	"fmt"
	"io"
	"path/filepath"
	"runtime/debug"
	"strconv"
	"strings"
	"sync"
	"unicode"

	"github.com/spf13/cobra"

	"github.com/podlaunch/podlaunch/launcher"
	"github.com/podlaunch/podlaunch/readiness"
	"github.com/podlaunch/podlaunch/runtimedir"
)

// streams are what a command reads from and writes to.
type streams struct {
	in       io.Reader
	out, err io.Writer
}

// A cli is what all commands have in common: the streams and the global flags.
type cli struct {
	streams
	runtimeDir string
	app        string
	json       bool
	printing   sync.Mutex // held while a result is printed
}

// run is the whole command. It returns the exit code.
func run(ctx context.Context, args []string, s streams) int {
	c := &cli{streams: s}
	root := newRoot(c)
	root.SetArgs(args)
	err := root.ExecuteContext(ctx)
	c.tell(err)
	return exitCode(err)
}

func newRoot(c *cli) *cobra.Command {
	root := &cobra.Command{
		Use:                   "podctl",
		Short:                 "Run programs and keep hold of them",
		Long:                  rootLong,
		Example:               fiveExamples,
		Version:               version(),
		SilenceErrors:         true, // run tells them
		SilenceUsage:          true,
		DisableFlagsInUseLine: true,
		Args:                  cobra.ArbitraryArgs,
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) > 0 {
				return usageError(cmd, fmt.Errorf("there is no command %q%s", args[0], suggestion(cmd, args[0])))
			}
			return cmd.Help()
		},
		ValidArgsFunction: cobra.NoFileCompletions,
	}
	root.SetIn(c.in)
	root.SetOut(c.out)
	root.SetErr(c.err)
	root.SetFlagErrorFunc(usageError)
	root.SetVersionTemplate("podctl {{.Version}}\n")
	root.SetUsageTemplate(usageTemplate(root.UsageTemplate()))
	cobra.AddTemplateFunc("wrapped", wrappedFlags)
	flags := root.PersistentFlags()
	flags.StringVar(&c.runtimeDir, "runtime-dir", "", "keep pods below this directory, `D`, instead of where the environment says")
	flags.StringVar(&c.app, "app", defaultApp, "`name` of the application whose pods these are")
	flags.BoolVar(&c.json, "json", false, "print results and errors as JSON")
	root.MarkPersistentFlagDirname("runtime-dir")
	root.RegisterFlagCompletionFunc("app", cobra.NoFileCompletions)
	root.AddCommand(
		newRun(c), newStart(c), newEnsure(c), newRestart(c),
		newLs(c), newStatus(c), newLogs(c), newTimeline(c), newDial(c),
		newSignal(c), newWait(c), newStop(c), newRm(c), newPrune(c),
		exitCodesTopic(), environmentTopic(), readyTopic(), jsonTopic(),
	)
	root.InitDefaultHelpCmd()
	root.InitDefaultCompletionCmd()
	for _, cmd := range root.Commands() {
		switch cmd.Name() {
		case "help":
			cmd.Args = aTopic
		case "completion":
			knowShells(cmd)
		}
	}
	return root
}

// aTopic makes sure that there is help on what the arguments of podctl help name. Cobra
// would print the help of the root.
func aTopic(cmd *cobra.Command, args []string) error {
	if _, rest, err := cmd.Root().Find(args); err != nil || len(rest) > 0 {
		more := ""
		if len(args) == 1 {
			more = suggestion(cmd.Root(), args[0])
		}
		return usageError(cmd.Root(), fmt.Errorf("there is no help on %q%s", strings.Join(args, " "), more))
	}
	return nil
}

// knowShells makes a shell that cmd does not know an error, and an argument too many. Cobra
// would print help, or exit with another code.
func knowShells(cmd *cobra.Command) {
	var shells []string
	for _, shell := range cmd.Commands() {
		shells = append(shells, shell.Name())
		shell.Args = noArgs
	}
	last := len(shells) - 1
	cmd.DisableFlagsInUseLine = true
	cmd.Args = cobra.ArbitraryArgs
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if len(args) > 0 {
			return usageError(cmd, fmt.Errorf("there is no completion for %q: it can be %s or %s", args[0], strings.Join(shells[:last], ", "), shells[last]))
		}
		return cmd.Help()
	}
}

// suggestion names the commands that are written like word.
func suggestion(cmd *cobra.Command, word string) string {
	cmd.SuggestionsMinimumDistance = 2
	if found := cmd.SuggestionsFor(word); len(found) > 0 {
		return "; did you mean " + strings.Join(found, " or ") + "?"
	}
	return ""
}

// version is what is known of this build.
func version() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "of an unknown build"
	}
	text := info.Main.Version
	for _, s := range info.Settings {
		if s.Key == "vcs.revision" && !strings.Contains(text, s.Value[:min(12, len(s.Value))]) {
			text += " " + s.Value
		}
	}
	return strings.TrimSpace(text + " " + info.GoVersion)
}

// defaultApp is the application that the library itself has in mind.
const defaultApp = "insomnia"

// launcher returns the Launcher that the global flags ask for. Without any it
// is the zero one.
func (c *cli) launcher() (launcher.Launcher, error) {
	var l launcher.Launcher
	if c.app != defaultApp {
		if err := runtimedir.ValidateName(c.app); err != nil {
			return l, fmt.Errorf("--app: %w", err)
		}
		l.Command = launcher.PodCommand{Env: c.variable("POD_COMMAND")}
		l.Dir = runtimedir.User{App: c.app}
		l.Ready = readiness.Sequence{c.readyLine(), readiness.Socket{}}
	}
	if c.runtimeDir != "" {
		dir, err := filepath.Abs(c.runtimeDir)
		if err != nil {
			return l, fmt.Errorf("--runtime-dir: %w", err)
		}
		l.Dir = runtimedir.Dir(dir)
	}
	return l, nil
}

// podDir is where the pod called name has its runtime directory, whether it is
// there or not.
func (c *cli) podDir(ctx context.Context, name string) (string, error) {
	l, err := c.launcher()
	if err != nil {
		return "", err
	}
	var base runtimedir.Baser = runtimedir.User{}
	if b, ok := l.Dir.(runtimedir.Baser); ok {
		base = b
	}
	dir, err := base.Base(ctx)
	return filepath.Join(dir, name), err
}

// readyLine is the ready line of the application's pods.
func (c *cli) readyLine() readiness.ReadyLine {
	if c.app == defaultApp {
		return readiness.ReadyLine{}
	}
	return readiness.ReadyLine{Prefix: c.prefix() + "-READY"}
}

// prefix is what the application's variables begin with, as [runtimedir.User]
// has it.
func (c *cli) prefix() string {
	return strings.Map(func(r rune) rune {
		switch {
		case 'a' <= r && r <= 'z':
			return r - 'a' + 'A'
		case 'A' <= r && r <= 'Z', '0' <= r && r <= '9':
			return r
		}
		return '_'
	}, c.app)
}

func (c *cli) variable(name string) string { return c.prefix() + "_" + name }

// say prints a result: v with --json, else text. It may be called from any number
// of goroutines.
func (c *cli) say(text string, v any) error {
	c.printing.Lock()
	defer c.printing.Unlock()
	if c.json {
		return printJSON(c.out, v)
	}
	return printText(c.out, "", text, 2)
}

// warn says on standard error what is no failure.
func (c *cli) warn(format string, args ...any) {
	c.printing.Lock()
	defer c.printing.Unlock()
	text := fmt.Sprintf(format, args...)
	if c.json {
		printJSON(c.err, map[string]string{"warning": text})
		return
	}
	printText(c.err, "podctl: ", text, len("podctl: "))
}

// shown is s as one word that can be printed anywhere: quoted if it is empty, or
// holds a space or what cannot be seen.
func shown(s string) string {
	if q := strconv.Quote(s); s == "" || strings.Contains(s, " ") || q != `"`+s+`"` {
		return q
	}
	return s
}

// printable is a line of a pod's with everything escaped that is not meant to
// be seen: it could clear the terminal or forge a line of ours.
func printable(line string) string {
	var b strings.Builder
	for _, r := range line { // what is not UTF-8 becomes a replacement character
		if r == '\t' || unicode.IsPrint(r) {
			b.WriteRune(r)
		} else {
			q := strconv.QuoteRune(r)
			b.WriteString(q[1 : len(q)-1])
		}
	}
	return b.String()
}
