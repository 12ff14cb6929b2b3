package main

import (
	"context"
	"fmt"
	"io"
	"path/filepath"
	"strconv"
	"strings"
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
}

// run is the whole command. It returns the exit code.
func run(ctx context.Context, args []string, s streams) int {
	root := newRoot(s)
	root.SetArgs(args)
	err := root.ExecuteContext(ctx)
	if message := errorMessage(err); message != "" {
		fmt.Fprintln(s.err, "podctl: "+message)
	}
	return exitCode(err)
}

func newRoot(s streams) *cobra.Command {
	c := &cli{streams: s}
	root := &cobra.Command{
		Use:   "podctl",
		Short: "Start, list, talk to and stop pods",
		Long: `podctl starts, lists, talks to and stops pods: long-lived programs that say on
their standard error when they are ready, and answer on a unix socket.

A pod that is ready goes on running when podctl has ended. There is one pod of a
name, whoever asks for it.`,
		Example: `  podctl start alice --overlay alice.toml -- ./my-pod
  podctl ls
  echo hello | podctl dial alice
  podctl logs -f alice
  podctl stop alice`,
		SilenceErrors:         true, // run tells them
		SilenceUsage:          true,
		DisableFlagsInUseLine: true,
		Args:                  cobra.ArbitraryArgs,
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) > 0 {
				return usageError(cmd, fmt.Errorf("unknown command %q", args[0]))
			}
			return cmd.Help()
		},
		ValidArgsFunction: cobra.NoFileCompletions,
	}
	root.SetIn(s.in)
	root.SetOut(s.out)
	root.SetErr(s.err)
	root.SetFlagErrorFunc(usageError)
	root.PersistentFlags().StringVar(&c.runtimeDir, "runtime-dir", "", "keep pods below this directory, `D`, instead of where the environment says")
	root.PersistentFlags().StringVar(&c.app, "app", defaultApp, "`name` of the application whose pods these are")
	root.MarkPersistentFlagDirname("runtime-dir")
	root.RegisterFlagCompletionFunc("app", cobra.NoFileCompletions)
	root.AddCommand(
		newStart(c), newEnsure(c), newStop(c), newRm(c),
		newLs(c), newStatus(c),
		newLogs(c), newDial(c),
		exitCodesTopic(), environmentTopic(),
	)
	return root
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
		l.Ready = readiness.Sequence{readiness.ReadyLine{Prefix: c.prefix() + "-READY"}, readiness.Socket{}}
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

// oneName makes sure that a command has one argument, the name of a pod.
func oneName(cmd *cobra.Command, args []string) error {
	if err := cobra.ExactArgs(1)(cmd, args); err != nil {
		return usageError(cmd, fmt.Errorf("name one pod, not %d", len(args)))
	}
	return runtimedir.ValidateName(args[0])
}

// noArgs makes sure that a command has no arguments.
func noArgs(cmd *cobra.Command, args []string) error {
	if len(args) > 0 {
		return usageError(cmd, fmt.Errorf("unexpected argument %q", args[0]))
	}
	return nil
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
// be seen, lest it clear the terminal or forge a line of ours.
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

func environmentTopic() *cobra.Command {
	return &cobra.Command{
		Use:   "environment",
		Short: "Which variables matter",
		Long: `Pods are kept below the first of these that is set:

  $INSOMNIA_RUNTIME_DIR
  $INSOMNIA_HOME/run
  $XDG_RUNTIME_DIR/insomnia
  $HOME/.insomnia/run

A pod that is started without a program of its own runs $INSOMNIA_POD_COMMAND,
else pod on $PATH.

A pod has to find the same directory, and to know its name; podctl passes it
neither as an argument. With --runtime-dir D a pod that is started gets
$INSOMNIA_RUNTIME_DIR set to D.

With --app yoi it is YOI in place of INSOMNIA and yoi in place of insomnia, and
the line with which a pod says that it is ready begins with YOI-READY.`,
	}
}
