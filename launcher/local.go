package launcher

import (
	"context"
	"os"

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
type Local struct{}

var _ Starter = Local{}

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

// prepare is the part of Start before the fork.
func (Local) prepare(req StartRequest) (*unixproc.Starting, error) {
	return unixproc.Prepare(unixproc.Command{
		Path:   req.Command.Path,
		Args:   req.Command.Args,
		Env:    req.Command.Env,
		Dir:    req.WorkDir,
		Files:  append([]*os.File{nil, req.Stdout, req.Stderr}, req.Files...),
		PIDEnv: req.PIDEnv,
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
