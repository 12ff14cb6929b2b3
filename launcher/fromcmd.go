package launcher

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"slices"
	"sync"
	"syscall"

	"github.com/google/uuid"

	"github.com/podlaunch/podlaunch/launcher/internal/osproc"
)

// FromCmd returns what launches cmd: a Spec, to which the caller adds a Name and what
// else a launch needs, and the Command of a Launcher. cmd must not have been started, and
// is started by no method of its own afterwards. These fields have a meaning:
//
//	Path, Args   the command. A Path that is relative is taken from Dir. A program
//	             whose Args[0] has another base than Path finds it as argv[0]; any
//	             other finds Path.
//	Env, Dir     Spec.Env and Spec.Dir. With a nil Env the pod has the caller's, and
//	             PWD is its working directory.
//	Stdin        Spec.Stdin, if it is nil or an *os.File
//	Stdout       Spec.Stdout
//	Stderr       Spec.Stderr. The pod's standard error is its log, too.
//	ExtraFiles   Spec.Files
//	SysProcAttr  Command.Attr, see [Local.Attr]. A group of its own (Setpgid) the pod has
//	             anyway.
//	WaitDelay    Spec.Grace
//	Err          is returned
//
// Any other that is set is refused with [ErrInvalidSpec], by its name. There is no
// meaning for Cancel, and so none for the context of [exec.CommandContext]: the context
// of a launch bounds the launch. [Pod.StopWith] has a context end the pod.
//
// What the pod writes goes through files, and so Stdout and Stderr are written to also
// where they are an *os.File. Pod.Wait does not wait for them: [Pod.Drain] does.
//
// When a launch has succeeded, cmd.Process is the pod's first process; nil if that has
// no pid here, or has ended by then. It is set once, for the first pod that is launched.
// cmd.Process.Signal and Kill reach that process and nobody else, as [Pod.Signal] does;
// [Pod.Stop] is for all of the pod. The Pod waits for it: cmd.Wait and cmd.Process.Wait
// must not be called, for they would take its end away from the Pod. Use [Pod.Wait].
func FromCmd(cmd *exec.Cmd) (Spec, CommandResolver, error) {
	if err := checkCmd(cmd); err != nil {
		return Spec{}, nil, fmt.Errorf("launcher.FromCmd: %w", err)
	}
	c := &cmdCommand{cmd: cmd, path: cmd.Path, attr: attrOf(cmd)}
	if len(cmd.Args) > 0 {
		c.args = slices.Clone(cmd.Args[1:])
		if filepath.Base(cmd.Args[0]) != filepath.Base(cmd.Path) {
			c.arg0 = cmd.Args[0]
		}
	}
	if !filepath.IsAbs(c.path) {
		c.path = filepath.Join(cmd.Dir, c.path)
	}
	spec := Spec{
		Dir:      cmd.Dir,
		Env:      slices.Clone(cmd.Env),
		Stdout:   cmd.Stdout,
		Stderr:   cmd.Stderr,
		Files:    slices.Clone(cmd.ExtraFiles),
		Grace:    cmd.WaitDelay,
		launched: c.launched,
	}
	if cmd.Stdin != nil {
		spec.Stdin = cmd.Stdin.(*os.File) // see checkCmd
	}
	return spec, c, nil
}

// checkCmd refuses what of cmd has no meaning.
func checkCmd(cmd *exec.Cmd) error {
	refuse := func(format string, args ...any) error {
		return fmt.Errorf("%w: %w", ErrInvalidSpec, fmt.Errorf(format, args...))
	}
	switch {
	case cmd == nil:
		return refuse("the Cmd is nil")
	case cmd.Process != nil || cmd.ProcessState != nil:
		return refuse("Process is set: the Cmd was started already")
	case cmd.Err != nil:
		return cmd.Err
	case cmd.Path == "":
		return refuse("Path is empty")
	case cmd.Cancel != nil:
		return refuse("Cancel is set, as by exec.CommandContext: a pod does not end with a context; use exec.Command, and Pod.StopWith(ctx) once it is launched")
	case hasPipes(cmd):
		return refuse("StdinPipe, StdoutPipe or StderrPipe was called, and only Cmd.Start closes the pod's end here; use os.Pipe for Stdin, and Pod.Follow")
	}
	if err := checkCmdStreams(cmd); err != nil {
		return err
	}
	if err := osproc.CheckAttr(attrOf(cmd)); err != nil {
		return refuse("SysProcAttr: %w", err)
	}
	return nil
}

// checkCmdStreams refuses the standard streams that a Spec cannot have.
func checkCmdStreams(cmd *exec.Cmd) error {
	if _, isFile := cmd.Stdin.(*os.File); cmd.Stdin != nil && !isFile {
		return fmt.Errorf("%w: Stdin is a %T, and a pod can only have an *os.File, or none", ErrInvalidSpec, cmd.Stdin)
	}
	for name, stream := range map[string]any{"Stdin": cmd.Stdin, "Stdout": cmd.Stdout, "Stderr": cmd.Stderr} {
		if f, isFile := stream.(*os.File); isFile && f == nil {
			return fmt.Errorf("%w: %s is an *os.File that is nil", ErrInvalidSpec, name)
		}
	}
	return nil
}

// hasPipes reports whether cmd holds pipes, which only its Start and Wait close. Package
// os/exec does not tell.
func hasPipes(cmd *exec.Cmd) bool {
	fields := reflect.ValueOf(cmd).Elem()
	for _, name := range []string{"childIOFiles", "parentIOPipes"} {
		if f := fields.FieldByName(name); f.IsValid() && f.Kind() == reflect.Slice && f.Len() > 0 {
			return true
		}
	}
	return false
}

// attrOf returns the SysProcAttr of cmd without what a pod has anyway; nil if there is
// none.
func attrOf(cmd *exec.Cmd) *syscall.SysProcAttr {
	if cmd.SysProcAttr == nil {
		return nil
	}
	attr := *cmd.SysProcAttr
	dropOwnGroup(&attr)
	return &attr
}

// A cmdCommand resolves to the command of an exec.Cmd.
type cmdCommand struct {
	path, arg0 string
	args       []string
	attr       *syscall.SysProcAttr

	once sync.Once
	cmd  *exec.Cmd // whose Process is set, once
}

// ResolveCommand implements [CommandResolver].
func (c *cmdCommand) ResolveCommand(_ context.Context, req Request) (Command, error) {
	switch {
	case req.Spec.Overlay != "" || req.OverlayPath != "":
		return Command{}, fmt.Errorf("%w: Overlay is set, and the command of an exec.Cmd takes none", ErrInvalidSpec)
	case req.Spec.Session != uuid.Nil:
		return Command{}, fmt.Errorf("%w: Session is set, and the command of an exec.Cmd takes none", ErrInvalidSpec)
	}
	path, err := checkPath(c.path, "Path of an exec.Cmd")
	return Command{Path: path, Arg0: c.arg0, Args: concat(c.args, req.Spec.Args), Env: slices.Clone(req.Spec.Env), Attr: c.attr}, err
}

// launched sets the Process of the exec.Cmd. The number is a stranger's as soon as the
// process is reaped, and it is not reaped before exited is closed.
func (c *cmdCommand) launched(pid int, exited <-chan struct{}) {
	if pid == 0 {
		return
	}
	c.once.Do(func() {
		p, err := os.FindProcess(pid)
		if err != nil {
			return
		}
		select {
		case <-exited:
			p.Release()
		default:
			c.cmd.Process = p
		}
	})
}
