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
	"time"

	"github.com/google/uuid"
	"github.com/spf13/cobra"

	"github.com/podlaunch/podlaunch/launcher"
	"github.com/podlaunch/podlaunch/readiness"
	"github.com/podlaunch/podlaunch/runtimedir"
)

func newStart(c *cli) *cobra.Command {
	return newLaunch(c, &cobra.Command{
		Use:   "start NAME [flags] [-- CMD [ARG]...]",
		Short: "Start a pod and wait until it is ready",
		Long: `Start a pod and wait until it is ready. What it writes until then is shown on
standard error. It is an error if the pod is running already.

CMD and its ARGs are the pod's program; --overlay with the overlay's text, and
--session if one is resumed, are put after them. Without CMD it is the one that
the environment names (see podctl help environment).

Every user of the machine can read the arguments of a program. If the overlay
holds a secret, and the pod knows --overlay-file, have it go another way: with
--overlay-as file or --overlay-as descriptor.

If the pod does not become ready, or podctl is interrupted, its processes are
ended and nothing is left but the log.`,
		Example: `  podctl start alice
  podctl start alice --overlay alice.toml -- ./my-pod --verbose
  echo 'name = "alice"' | podctl start alice --overlay -
  podctl start alice --overlay secret.toml --overlay-as descriptor
  podctl start web --ready socket -- sh -c 'exec ./server "$INSOMNIA_RUNTIME_DIR/web/sock"'`,
	}, func(ctx context.Context, l *launcher.Launcher, spec launcher.Spec) error {
		pod, err := l.Launch(ctx, spec)
		return c.launched(pod, "is ready", err)
	})
}

func newEnsure(c *cli) *cobra.Command {
	return newLaunch(c, &cobra.Command{
		Use:   "ensure NAME [flags] [-- CMD [ARG]...]",
		Short: "Make sure that a pod is running",
		Long: `Make sure that a pod is running: start it as podctl start does, unless it is
running already. Says which of the two it was. However many ask at once, there
is one pod.

A pod that is running is left as it is, whatever CMD and the flags say. If they ask
for another pod, standard error says in what it is different. So it does if the
program was built anew, or if it cannot be told.`,
		Example: `  podctl ensure alice --overlay alice.toml -- ./my-pod
  podctl ensure alice && podctl dial alice`,
	}, func(ctx context.Context, l *launcher.Launcher, spec launcher.Spec) error {
		pod, started, err := l.Ensure(ctx, spec)
		if started {
			return c.launched(pod, "was started", err)
		}
		if err == nil {
			c.compare(pod, spec)
		}
		return c.launched(pod, "was running already", err)
	})
}

// compare says if the pod that is running is another one than spec asks for.
func (c *cli) compare(pod *launcher.Pod, spec launcher.Spec) {
	name := shown(pod.Name())
	switch parts, err := pod.Differs(spec); {
	case err != nil:
		fmt.Fprintf(c.err, "podctl: whether %s is what was asked for cannot be told: %s\n", name, errorMessage(err))
	case len(parts) > 0:
		fmt.Fprintf(c.err, "podctl: %s is not what was asked for, it differs in: %s; to replace it: podctl stop %s, and then ensure it again\n", name, strings.Join(parts, ", "), name)
	}
}

// launched tells of a pod that became ready, or of why not.
func (c *cli) launched(pod *launcher.Pod, how string, err error) error {
	var e *launcher.Error
	switch {
	case errors.Is(err, launcher.ErrRunning) && errors.As(err, &e):
		return &codedError{exitRunning, fmt.Errorf("%s is running already: pid %d, %s", shown(e.Name), e.PID, shown(e.Endpoint.String()))}
	case err != nil:
		return err
	}
	defer pod.Release() // it goes on without us
	fmt.Fprintf(c.out, "%s %s: pid %d, %s\n", shown(pod.Name()), how, pod.PID(), shown(pod.Endpoint().String()))
	return nil
}

// launchFlags are what start and ensure are told.
type launchFlags struct {
	overlay   string
	overlayAs string
	timeout   time.Duration
	session   string
	dir       string
	env       []string
	logStdout bool
	ready     string
}

// newLaunch makes cmd a command that calls launch with what its flags say.
func newLaunch(c *cli, cmd *cobra.Command, launch func(context.Context, *launcher.Launcher, launcher.Spec) error) *cobra.Command {
	var f launchFlags
	cmd.DisableFlagsInUseLine = true
	cmd.Args = nameAndCommand
	cmd.ValidArgsFunction = c.completeLaunch
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		l, err := f.launcher(c, cmd, args[1:])
		if err != nil {
			return err
		}
		spec, err := f.spec(c, cmd, args[0])
		if err != nil {
			return err
		}
		return launch(cmd.Context(), &l, spec)
	}
	flags := cmd.Flags()
	flags.StringVar(&f.overlay, "overlay", "", "`file` with the TOML that is laid over the pod's configuration; - is standard input")
	flags.StringVar(&f.overlayAs, "overlay-as", "argument", "`how` the overlay gets to the pod: as an argument, as a file, or as a descriptor")
	flags.DurationVar(&f.timeout, "timeout", launcher.DefaultTimeout, "how long it may take; 0 means as long as it takes")
	flags.StringVar(&f.session, "session", "", "`UUID` of the session to resume")
	flags.StringVar(&f.dir, "dir", "", "working `directory` of the pod (default: this one)")
	flags.StringArrayVar(&f.env, "env", nil, "`K=V` for the pod, beside the variables that podctl has; may be repeated")
	flags.BoolVar(&f.logStdout, "log-stdout", false, "send the pod's standard output to its log, too")
	flags.StringVar(&f.ready, "ready", readyLine, "`what` makes it ready: "+readyLine+" (the ready line, then its socket answers) or "+readySocket+" (the socket called sock in its directory answers)")
	cmd.MarkFlagDirname("dir")
	cmd.RegisterFlagCompletionFunc("overlay-as", cobra.FixedCompletions([]string{"argument", "file", "descriptor"}, cobra.ShellCompDirectiveNoFileComp))
	cmd.RegisterFlagCompletionFunc("timeout", cobra.NoFileCompletions)
	cmd.RegisterFlagCompletionFunc("session", cobra.NoFileCompletions)
	cmd.RegisterFlagCompletionFunc("env", cobra.NoFileCompletions)
	cmd.RegisterFlagCompletionFunc("ready", cobra.FixedCompletions([]string{readyLine, readySocket}, cobra.ShellCompDirectiveNoFileComp))
	return cmd
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

// What --ready may be.
const (
	readyLine   = "line"
	readySocket = "socket"
)

// launcher is the Launcher that the flags ask for, and command, the pod's
// program if it is not empty.
func (f *launchFlags) launcher(c *cli, cmd *cobra.Command, command []string) (launcher.Launcher, error) {
	l, err := c.launcher()
	if err != nil {
		return l, err
	}
	if l.Timeout, err = duration("timeout", f.timeout, cmd); err != nil {
		return l, err
	}
	switch f.overlayAs {
	case "argument": // the Launcher's own
	case "file":
		l.OverlayTransport = launcher.OverlayAsFile
	case "descriptor":
		l.OverlayTransport = launcher.OverlayAsDescriptor
	default:
		return l, usageError(cmd, fmt.Errorf("--overlay-as is %q: it can be argument, file or descriptor", f.overlayAs))
	}
	switch f.ready {
	case readyLine: // the Launcher's own
	case readySocket:
		l.Ready = readiness.Sequence{readiness.ProbeFunc(usualSocket), readiness.Socket{}}
	default:
		return l, usageError(cmd, fmt.Errorf("--ready is %q: it can be %s or %s", f.ready, readyLine, readySocket))
	}
	if len(command) > 0 {
		l.Command = podProgram(command)
	}
	return l, nil
}

// usualSocket is a probe that learns nothing: it knows where a pod has its
// socket unless it says otherwise.
func usualSocket(_ context.Context, t readiness.Target) (readiness.Endpoint, error) {
	path := filepath.Join(t.RuntimeDir, "sock")
	return readiness.Endpoint{Network: "unix", Address: path}, runtimedir.CheckSocketPath(path)
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

// spec is the Spec that the flags ask for.
func (f *launchFlags) spec(c *cli, cmd *cobra.Command, name string) (launcher.Spec, error) {
	spec := launcher.Spec{
		Name:      name,
		Dir:       f.dir,
		LogStdout: f.logStdout,
		Progress:  func(line string) { fmt.Fprintf(c.err, "%s: %s\n", shown(name), printable(line)) },
	}
	var err error
	if f.session != "" {
		if spec.Session, err = uuid.Parse(f.session); err != nil {
			return spec, usageError(cmd, fmt.Errorf("--session: %w", err))
		}
	}
	if spec.Env, err = f.environment(c, cmd); err != nil {
		return spec, err
	}
	if spec.Overlay, err = f.overlayText(c); err != nil {
		return spec, fmt.Errorf("--overlay: %w", err)
	}
	return spec, nil
}

// environment is the pod's; nil if it is ours.
func (f *launchFlags) environment(c *cli, cmd *cobra.Command) ([]string, error) {
	var extra []string
	if c.runtimeDir != "" {
		dir, err := filepath.Abs(c.runtimeDir)
		if err != nil {
			return nil, fmt.Errorf("--runtime-dir: %w", err)
		}
		extra = append(extra, c.variable("RUNTIME_DIR")+"="+dir)
	}
	for _, pair := range f.env {
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
func (f *launchFlags) overlayText(c *cli) (string, error) {
	in := c.in
	switch f.overlay {
	case "":
		return "", nil
	case "-":
	default:
		file, err := os.Open(f.overlay)
		if err != nil {
			return "", err
		}
		defer file.Close()
		in = file
	}
	if f.overlayAs == "argument" {
		in = io.LimitReader(in, launcher.MaxOverlay+1)
	}
	text, err := io.ReadAll(in)
	return string(text), err
}

// duration is what the flag called name says, as a field of Launcher has it:
// there 0 is the default, and what is negative is "none".
func duration(name string, d time.Duration, cmd *cobra.Command) (time.Duration, error) {
	switch {
	case d < 0:
		return 0, usageError(cmd, fmt.Errorf("--%s is negative: %v", name, d))
	case d == 0:
		return -1, nil
	}
	return d, nil
}
