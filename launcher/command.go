package launcher

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"github.com/google/uuid"

	"github.com/podlaunch/podlaunch/launcher/internal/osproc"
)

// A CommandResolver decides what a launch runs.
type CommandResolver interface {
	// ResolveCommand returns the full command for one launch.
	//
	// A program that cannot be found must be an error that wraps
	// [exec.ErrNotFound] and says where it was looked for: [First] then goes
	// on to the next resolver, while every other error is final.
	// ResolveCommand starts no process, creates no file, nowhere, and leaves no
	// descriptor and no goroutine behind. It may be called from any number of
	// goroutines, and more than once for one launch.
	// What is behind the slices of req is the caller's: ResolveCommand does not
	// change it, and the Command shares no list with req (slices.Clone).
	//
	// Spec.Args come last, in order, and each as it is, an empty one too. An
	// overlay, by its text or its path, and a session are passed on, or refused
	// with [ErrInvalidSpec]. If Spec.Env is not nil, the command's environment is
	// that and what the resolver adds of its own, and nothing else of the caller's. Of
	// several values of one variable the last one counts.
	ResolveCommand(ctx context.Context, req Request) (Command, error)
}

// CommandResolverFunc lets an ordinary function be a [CommandResolver].
type CommandResolverFunc func(ctx context.Context, req Request) (Command, error)

// ResolveCommand calls f.
func (f CommandResolverFunc) ResolveCommand(ctx context.Context, req Request) (Command, error) {
	return f(ctx, req)
}

// A Request tells a [CommandResolver] about a launch.
type Request struct {
	Spec       Spec
	RuntimeDir string // the pod's, absolute; it need not exist yet

	// OverlayPath is where the pod will find its overlay, if that is to be in
	// no argument ([Launcher.OverlayTransport]). Spec.Overlay is empty then, and
	// the path must be in an argument or a variable of the command; otherwise
	// the launch fails with [ErrInvalidSpec].
	OverlayPath string
}

// A Command is what a launch runs.
type Command struct {
	Path string   // absolute
	Args []string // without argv[0]
	Env  []string // final; nil: the caller's

	// Arg0 is argv[0], for a program that looks at it. Empty means Path.
	Arg0 string

	// Attr is what else the process is to be, as Local.Attr, which has to be nil then.
	// A launch with it, or with Arg0, needs a [Local] as its Starter.
	Attr *syscall.SysProcAttr
}

// The variable and the program of the zero [PodCommand].
const (
	DefaultCommandEnv = "INSOMNIA_POD_COMMAND"
	DefaultProgram    = "pod"
)

// PodCommand runs the program that an environment variable names, or else a
// default one, with a pod's arguments: Args, then --overlay and the overlay
// (always, even if it is empty), or --overlay-file and where it is
// ([Launcher.OverlayTransport]), then --session and the session's id when
// resuming, then Spec.Args. The zero value is ready to use.
//
// PodCommand looks up a program without a slash on the caller's PATH. If it finds the
// program through a relative entry of PATH (".", or an empty one), it refuses it with
// [exec.ErrDot]. It takes a program with a slash from the caller's working directory, not
// the pod's. If there is no such program, the error is a [*NotFoundError].
//
// On Windows a path has a slash, a backslash or a colon. The program is found without its
// extension, by PATHEXT. A program in the current directory, where shells look first, is
// refused with [exec.ErrDot] unless PATH leads to it.
type PodCommand struct {
	// Env is the variable that names the program, as one word: a path or a
	// name, no arguments. Unset and set to nothing are the same. Empty means
	// [DefaultCommandEnv].
	Env string

	// Program is run if the variable is not set. Empty means [DefaultProgram].
	Program string

	// Args come first, before --overlay: a subcommand, for instance.
	Args []string
}

// ResolveCommand implements [CommandResolver].
func (c PodCommand) ResolveCommand(_ context.Context, req Request) (Command, error) {
	env, program := c.Env, c.Program
	if env == "" {
		env = DefaultCommandEnv
	}
	if program == "" {
		program = DefaultProgram
	}
	source := "default, for $" + env + " is not set"
	if value := os.Getenv(env); value != "" {
		program, source = value, "from $"+env
	}
	path, err := lookPath(program, source)
	return podCommand(path, c.Args, req), err
}

// Path is the program at a fixed path, with a pod's arguments as [PodCommand]
// has them. A relative path is taken from the caller's working directory.
type Path string

// ResolveCommand implements [CommandResolver].
func (p Path) ResolveCommand(_ context.Context, req Request) (Command, error) {
	path, err := checkPath(string(p), "launcher.Path")
	return podCommand(path, nil, req), err
}

// Self is this very program again, with Args and then a pod's arguments as
// [PodCommand] has them. For tests, and for tools that are their own pod: Args
// is how the program knows that it is the pod.
type Self struct{ Args []string }

// ResolveCommand implements [CommandResolver].
func (s Self) ResolveCommand(_ context.Context, req Request) (Command, error) {
	path, err := os.Executable()
	if err != nil {
		return Command{}, fmt.Errorf("find this program: %w", err)
	}
	path, err = checkPath(path, "this program")
	return podCommand(path, s.Args, req), err
}

// Exec is any program, with args and then Spec.Args as its only arguments: for
// a program that is not written to be a pod. A path without a slash is looked
// up on PATH as for [PodCommand]. Spec.Overlay and Spec.Session mean nothing
// to such a program, and are refused with [ErrInvalidSpec].
//
// Three words in args stand for what is known only when the pod is launched,
// wherever they are in an argument:
//
//	{name}  the pod's name
//	{dir}   its runtime directory
//	{sock}  "sock" in that directory, where the default probe expects the socket
//
// Any other word in braces stays as it is. So do path and Spec.Args: the caller makes the
// Spec and can write there what it means.
func Exec(path string, args ...string) CommandResolver {
	return execCommand{path, append([]string(nil), args...)}
}

type execCommand struct {
	path string
	args []string
}

func (e execCommand) ResolveCommand(_ context.Context, req Request) (Command, error) {
	switch {
	case req.Spec.Overlay != "" || req.OverlayPath != "":
		return Command{}, fmt.Errorf("%w: Overlay is set, and launcher.Exec(%q) takes none", ErrInvalidSpec, e.path)
	case req.Spec.Session != uuid.Nil:
		return Command{}, fmt.Errorf("%w: Session is set, and launcher.Exec(%q) takes none", ErrInvalidSpec, e.path)
	}
	path, err := lookPath(e.path, "launcher.Exec")
	return Command{Path: path, Args: concat(fillIn(e.args, req), req.Spec.Args), Env: slices.Clone(req.Spec.Env)}, err
}

// fillIn returns args with what the words in braces stand for. What it puts in is not
// looked at again: a name may hold braces.
func fillIn(args []string, req Request) []string {
	var words *strings.Replacer // takes as long to make as several system calls
	filled := make([]string, len(args))
	for i, arg := range args {
		if filled[i] = arg; !strings.Contains(arg, "{") {
			continue
		}
		if words == nil {
			words = strings.NewReplacer(
				"{name}", req.Spec.Name,
				"{dir}", req.RuntimeDir,
				"{sock}", filepath.Join(req.RuntimeDir, "sock"),
			)
		}
		filled[i] = words.Replace(arg)
	}
	return filled
}

// First is the first of several resolvers that resolves. One whose error wraps
// [exec.ErrNotFound] is passed over, any other error is final. If none
// resolves, the error holds all of theirs.
type First []CommandResolver

// ResolveCommand implements [CommandResolver].
func (f First) ResolveCommand(ctx context.Context, req Request) (Command, error) {
	if len(f) == 0 {
		return Command{}, errors.New("launcher.First: it is empty")
	}
	var missed []error
	for i, r := range f {
		if r == nil {
			return Command{}, fmt.Errorf("launcher.First: resolver %d of %d is nil", i, len(f))
		}
		cmd, err := r.ResolveCommand(ctx, req)
		if err == nil || !errors.Is(err, exec.ErrNotFound) {
			return cmd, err
		}
		missed = append(missed, err)
	}
	return Command{}, &noneError{missed}
}

// A noneError is what several resolvers missed.
type noneError struct{ missed []error }

func (e *noneError) Error() string {
	s := "none of several commands was found"
	for _, err := range e.missed {
		s += "; " + err.Error()
	}
	return s
}

func (e *noneError) Unwrap() []error { return e.missed }

// podCommand is path with a pod's arguments.
func podCommand(path string, leading []string, req Request) Command {
	overlay := []string{"--overlay", req.Spec.Overlay}
	if req.OverlayPath != "" {
		overlay = []string{"--overlay-file", req.OverlayPath}
	}
	args := concat(leading, overlay)
	if req.Spec.Session != uuid.Nil {
		args = append(args, "--session", req.Spec.Session.String())
	}
	return Command{Path: path, Args: append(args, req.Spec.Args...), Env: slices.Clone(req.Spec.Env)}
}

// concat returns a and b in a slice of their own, for neither belongs to us.
func concat(a, b []string) []string {
	return append(append(make([]string, 0, len(a)+len(b)), a...), b...)
}

// validate makes sure that what a resolver returned can be started. It does
// not quote arguments or environment, for they may be secret.
func (c *Command) validate() error {
	if !filepath.IsAbs(c.Path) {
		return fmt.Errorf("the resolver returned the path %q: it must be absolute", c.Path)
	}
	if err := checkString(c.Path); err != nil {
		return fmt.Errorf("Command.Path %w", err)
	}
	if err := checkStrings("Command.Args", c.Args); err != nil {
		return err
	}
	if err := checkStrings("Command.Env", c.Env); err != nil {
		return err
	}
	if err := checkString(c.Arg0); err != nil {
		return fmt.Errorf("Command.Arg0 %w", err)
	}
	return osproc.CheckArgumentSpace(c.Path, concat(c.Args, []string{c.Arg0}), c.Env)
}

// checkOverlayPassed makes sure that a resolver which does not know
// Request.OverlayPath does not start a pod without its overlay.
func checkOverlayPassed(cmd Command, path string) error {
	holds := func(s string) bool { return strings.Contains(s, path) }
	if path == "" || slices.ContainsFunc(cmd.Args, holds) || slices.ContainsFunc(cmd.Env, holds) {
		return nil
	}
	return fmt.Errorf("%w: Launcher.OverlayTransport is set, and the resolver has put Request.OverlayPath (%s) neither into an argument nor into a variable", ErrInvalidSpec, path)
}
