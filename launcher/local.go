package launcher

import (
	"context"
	"fmt"
	"os"
	"syscall"

	"github.com/podlaunch/podlaunch/launcher/internal/unixproc"
)

// Local starts processes on this machine. The zero value is ready to use. It
// is the default [Starter].
//
// The process gets a session of its own, and with it a process group of its
// own, no controlling terminal, and no descriptors but those of the request.
//
// [Launcher.Launch] forks it in the goroutine of its caller. A goroutine that is locked
// to a thread ([runtime.LockOSThread]), and has restricted that, gets a pod that is
// restricted in the same way, as with os/exec. So a program on a filesystem that does
// not answer may hold the caller up. A Starter of one's own that calls Start runs in
// another goroutine.
type Local struct {
	// Attr is what else the process is to be: its user, its root, its namespaces, its
	// ambient capabilities, its cgroup, its parent-death signal. Nil means nothing.
	// It is not changed.
	//
	// What Local sees to itself cannot be set, and a launch with it fails with
	// [ErrInvalidSpec] before anything starts: Ptrace, Setpgid, Pgid, Foreground,
	// Setctty, Noctty, Ctty, PidFD, and Cloneflags other than those for namespaces.
	// Setsid makes no difference.
	//
	// The paths of a launch are looked at outside of a root or a mount namespace that
	// this gives the process. One of another user can neither enter its runtime
	// directory nor be stopped without the right to signal it, and a probe that checks
	// who answers refuses it.
	Attr *syscall.SysProcAttr

	// NoSession starts the process in this program's session and group. It is for a
	// program that calls setsid(2) itself and takes a refusal for fatal: the system
	// refuses it to whoever leads a group. Once the program has called it, everything
	// is as without NoSession. Until then, or for ever if it does not, signals go to
	// the process alone and not to its children; and it gets those that a terminal
	// sends to this program's group, as for Ctrl-C.
	NoSession bool
}

var _ Starter = Local{}

// localOf returns the Local that s is, if it is one, and nothing around it.
func localOf(s Starter) (Local, bool) {
	if l, ok := s.(*Local); ok && l != nil {
		return *l, true
	}
	l, ok := s.(Local)
	return l, ok
}

// Start implements [Starter]. Its error wraps the system's own, and says what
// it means for a program: an interpreter that is missing, for instance.
func (l Local) Start(ctx context.Context, req StartRequest) (Process, error) {
	s, err := l.prepare(req)
	if err != nil {
		return nil, err
	}
	defer s.Close()
	p, err := s.Fork(ctx)
	if err != nil {
		return nil, s.Explain(err)
	}
	return child{p}, nil
}

// validate reports what is wrong with l.
func (l Local) validate() error {
	if err := unixproc.CheckAttr(l.Attr); err != nil {
		return fmt.Errorf("%w: Local.Attr: %w", ErrInvalidSpec, err)
	}
	return nil
}

// prepare is the part of Start before the fork.
func (l Local) prepare(req StartRequest) (*unixproc.Starting, error) {
	if err := l.validate(); err != nil {
		return nil, err
	}
	return unixproc.Prepare(unixproc.Command{
		Path:      req.Command.Path,
		Args:      req.Command.Args,
		Env:       req.Command.Env,
		Dir:       req.WorkDir,
		Files:     append([]*os.File{req.Stdin, req.Stdout, req.Stderr}, req.Files...),
		PIDEnv:    req.PIDEnv,
		Attr:      l.Attr,
		NoSession: l.NoSession,
	})
}

// adoptProcess returns the process with the Identity, or the error of
// [unixproc.Adopt]. A child of this program is reaped when it ends.
func adoptProcess(id unixproc.Identity) (Process, error) {
	return asChild(unixproc.Adopt(id))
}

// A child is a process of this machine, as a [Process].
type child struct{ *unixproc.Process }

var (
	_ Reaper   = child{}
	_ Releaser = child{}
	_ Leader   = child{}
)

// asChild returns p, unless err says that there is none.
func asChild(p *unixproc.Process, err error) (Process, error) {
	if err != nil {
		return nil, err
	}
	return child{p}, nil
}

// Wait implements [Process].
func (c child) Wait(ctx context.Context) (Exit, error) {
	exit, err := c.Process.Wait(ctx)
	return Exit(exit), err
}

// notes says what may explain that the process does not become ready.
func (c child) notes() []string { return c.Notes() }
