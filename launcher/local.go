package launcher

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"github.com/google/uuid"

	"github.com/podlaunch/podlaunch/launcher/internal/osproc"
	"github.com/podlaunch/podlaunch/launcher/internal/ownership"
)

// Local starts processes on this machine. The zero value is ready to use. It
// is the default [Starter].
//
// The process gets a session of its own, and with it a process group of its
// own, no controlling terminal, and no descriptors but those of the request. On Windows it
// gets a job and a console of its own, and no handles but those of the request.
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
	// program that calls setsid(2) itself and treats a refusal as fatal: the system
	// refuses it to the leader of a group. Once the program has called it, everything is
	// as without NoSession. Until then, or for ever if it never does, it leads no group: the
	// launcher finds its children by descent and by their environment, and signals each
	// alone. The process also gets the signals that a terminal sends to this program's
	// group, as for Ctrl-C.
	NoSession bool

	// Cgroup is the directory of cgroup v2, absolute, or [OwnCgroup], below which each
	// process gets a cgroup of its own. [Pod.Stop], [Pod.Kill], a launch that fails and
	// what ends a recorded pod then end all that is in that cgroup. So no process gets away.
	// Exception: a process with the right to write to another cgroup moves there. The
	// cgroup goes with the last process. If the pod was released, or its launcher has died,
	// the cgroup stays, empty, until the next launch, Stop or Remove of the name; that of a
	// private pod until the next private launch. Empty means none.
	//
	// The directory has to be delegated to this program, and Linux has to be 5.7 or
	// later. Before Linux 5.14 there is no cgroup.kill: the processes are frozen and
	// ended one by one. Where the cgroup cannot be had the launch fails, and nothing
	// starts. Attr cannot name another cgroup besides (UseCgroupFD).
	//
	// A pod that the pod launches is in the cgroup too, and ends with it, unless it is
	// given a cgroup elsewhere. The record does not name the cgroup of a Starter that
	// wraps a Local: only the Pod that was launched has it.
	Cgroup string
}

// OwnCgroup, as [Local.Cgroup], is this program's own cgroup.
const OwnCgroup = "."

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
	cgroup, err := l.planCgroup(req)
	if err != nil {
		return nil, err
	}
	s, err := l.prepare(req, cgroup)
	if err != nil {
		return nil, err
	}
	defer s.Close()
	if err := cgroup.Make(); err != nil {
		return nil, fmt.Errorf("Local.Cgroup: %w", err)
	}
	p, err := s.Fork(ctx)
	if err != nil {
		return nil, errors.Join(s.Explain(err), cgroup.Remove())
	}
	if err := outliveAtOnce(p); err != nil {
		err = errors.Join(err, p.Signal(ctx, syscall.SIGKILL))
		p.Release()
		return nil, err
	}
	return asChild(p, cgroup, nil)
}

// validate reports what is wrong with l.
func (l Local) validate() error {
	if err := osproc.CheckAttr(l.Attr); err != nil {
		return fmt.Errorf("%w: Local.Attr: %w", ErrInvalidSpec, err)
	}
	switch {
	case l.Cgroup == "":
	case l.Cgroup != OwnCgroup && !filepath.IsAbs(l.Cgroup):
		return fmt.Errorf("%w: Local.Cgroup is %q, neither absolute nor OwnCgroup: name a directory of cgroup v2", ErrInvalidSpec, l.Cgroup)
	case strings.IndexByte(l.Cgroup, 0) >= 0:
		return fmt.Errorf("%w: Local.Cgroup holds a NUL at byte %d", ErrInvalidSpec, strings.IndexByte(l.Cgroup, 0))
	}
	return l.checkCgroups("Local.Attr", l.Attr)
}

// checkCgroups refuses attr, the field called what, if it names a cgroup besides Cgroup.
func (l Local) checkCgroups(what string, attr *syscall.SysProcAttr) error {
	if l.Cgroup != "" && osproc.NamesCgroup(attr) {
		return fmt.Errorf("%w: Local.Cgroup and UseCgroupFD of %s both name a cgroup: a process starts in one", ErrInvalidSpec, what)
	}
	return nil
}

// attrFor returns what the process of cmd is to be, by l or by cmd.
func (l Local) attrFor(cmd Command) (*syscall.SysProcAttr, error) {
	switch {
	case cmd.Attr == nil:
		return l.Attr, nil
	case l.Attr != nil:
		return nil, fmt.Errorf("%w: both Local.Attr and Command.Attr are set; there can be one of them", ErrInvalidSpec)
	}
	if err := osproc.CheckAttr(cmd.Attr); err != nil {
		return nil, fmt.Errorf("%w: Command.Attr: %w", ErrInvalidSpec, err)
	}
	return cmd.Attr, l.checkCgroups("Command.Attr", cmd.Attr)
}

// planCgroup returns the cgroup that the process is to have; nil if it is to have none.
func (l Local) planCgroup(req StartRequest) (*osproc.Cgroup, error) {
	if l.Cgroup == "" {
		return nil, nil
	}
	parent := l.Cgroup
	if parent == OwnCgroup {
		parent = ""
	}
	id := req.ID
	if id == uuid.Nil { // of a caller that is no launch
		id = uuid.New()
	}
	c, err := osproc.PlanCgroup(parent, "pod-"+id.String())
	if err != nil {
		return nil, fmt.Errorf("Local.Cgroup: %w", err)
	}
	return c, nil
}

// prepare is the part of Start before the fork, and before cgroup is made.
func (l Local) prepare(req StartRequest, cgroup *osproc.Cgroup) (*osproc.Starting, error) {
	if err := l.validate(); err != nil {
		return nil, err
	}
	attr, err := l.attrFor(req.Command)
	if err != nil {
		return nil, err
	}
	mark := ""
	if req.ID != uuid.Nil {
		mark = ownership.LaunchVariable + "=" + req.ID.String()
	}
	return osproc.Prepare(osproc.Command{
		Path:      req.Command.Path,
		Arg0:      req.Command.Arg0,
		Args:      req.Command.Args,
		Env:       req.Command.Env,
		Dir:       req.WorkDir,
		Files:     append([]*os.File{req.Stdin, req.Stdout, req.Stderr}, req.Files...),
		PIDEnv:    req.PIDEnv,
		Attr:      attr,
		NoSession: l.NoSession,
		Cgroup:    cgroup,
		Mark:      mark,
	})
}

// adoptProcess returns the process with the Identity, or the error of
// [osproc.Adopt]. A child of this program is reaped when it ends.
func adoptProcess(id osproc.Identity, cgroup *osproc.Cgroup) (Process, error) {
	p, err := osproc.Adopt(id)
	return asChild(p, cgroup, err)
}

// A child is a process of this machine, as a [Process].
type child struct {
	*osproc.Process
	cgroup *osproc.Cgroup     // of its own; nil: none
	memory osproc.MemoryKills // at its start
}

var (
	_ Reaper   = child{}
	_ Releaser = child{}
	_ Leader   = child{}
)

// asChild returns p, whose cgroup may be nil, unless err says that there is no process.
func asChild(p *osproc.Process, cgroup *osproc.Cgroup, err error) (Process, error) {
	if err != nil {
		return nil, err
	}
	return child{Process: p, cgroup: cgroup}, nil
}

// Reap implements [Reaper]. The cgroup goes with the last process that was in it.
func (c child) Reap(ctx context.Context) error {
	err := c.Process.Reap(ctx)
	c.removeCgroup()
	return err
}

// removeCgroup removes the cgroup if nobody is in it. Else who ends those removes it.
func (c child) removeCgroup() { _ = c.cgroup.Remove() }

// Wait implements [Process].
func (c child) Wait(ctx context.Context) (Exit, error) {
	exit, err := c.Process.Wait(ctx)
	return Exit(exit), err
}

// notes says what may explain that the process does nothing, or that its end is the kernel's
// work. ended says that it has ended: then what its cgroup tells is all.
func (c child) notes(ended bool) []string {
	found := c.cgroup.Notes()
	if ended {
		return found
	}
	for _, note := range c.Notes() {
		if !slices.Contains(found, note) { // of a cgroup of its own
			found = append(found, note)
		}
	}
	return found
}
