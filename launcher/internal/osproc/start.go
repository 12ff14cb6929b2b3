//go:build linux || darwin || freebsd

package osproc

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"reflect"
	"runtime"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/podlaunch/podlaunch/launcher/internal/vfork"
)

// Supported says whether processes can be started on this system.
const Supported = true

// PlacesFiles says whether a process finds the files of its Command by their numbers.
const PlacesFiles = true

// CanSend returns nil: every signal can be sent to a process.
func CanSend(syscall.Signal) error { return nil }

// SIGCONT wakes a process that is stopped.
const SIGCONT = syscall.SIGCONT

// Start starts c, in a session and a group of its own unless c says otherwise, and returns once the program
// runs. ctx bounds the starting only. When Start fails it leaves no process and
// nothing open; its error wraps the system's own, and says what that means for a
// program: an interpreter that is missing, for instance. Where no process can be
// identified (see [Identify]) nothing is started.
func Start(ctx context.Context, c Command) (*Process, error) {
	s, err := Prepare(c)
	if err != nil {
		return nil, err
	}
	defer s.Close()
	p, err := s.Fork(ctx)
	if err != nil {
		return nil, s.Explain(err)
	}
	return p, nil
}

// CheckAttr returns an error if a Command cannot have attr: it names a field that Start
// sets itself, or that makes of the process what it cannot be.
func CheckAttr(attr *syscall.SysProcAttr) error {
	if attr == nil {
		return nil
	}
	fields := reflect.ValueOf(attr).Elem()
	for _, name := range []string{"Ptrace", "Setpgid", "Pgid", "Foreground", "Setctty", "Noctty", "Ctty", "PidFD"} {
		if f := fields.FieldByName(name); f.IsValid() && !f.IsZero() {
			return fmt.Errorf("%s cannot be set: %w", name, syscall.EINVAL)
		}
	}
	return checkFlags(attr)
}

// NamesCgroup reports whether attr names the cgroup of the process.
func NamesCgroup(attr *syscall.SysProcAttr) bool {
	if attr == nil {
		return false
	}
	named := reflect.ValueOf(attr).Elem().FieldByName("UseCgroupFD") // of Linux alone
	return named.IsValid() && named.Bool()
}

// A Starting is a process that is about to be started. It is [Start] in parts: what
// may hang on a filesystem, Prepare and Explain, need not be done by the thread that
// forks.
type Starting struct {
	command Command
	null    int
	path    string
	argv    []string
	attr    *syscall.ProcAttr
	pidfd   int
}

// Prepare looks and makes all that is needed before the fork. The caller calls Close
// when it is over, whether it has forked or not.
func Prepare(c Command) (*Starting, error) {
	if _, _, err := here(); err != nil {
		return nil, err
	}
	if c.Arg0 != "" && len(c.PIDEnv) > 0 {
		return nil, fmt.Errorf("the process cannot have %q as argv[0] and find its id in %s, for a shell has to execute it: %w", c.Arg0, c.PIDEnv[0], syscall.EINVAL)
	}
	sweep()
	// Not by package os, which would ask whether it can be polled.
	null, err := unix.Open(os.DevNull, unix.O_RDWR|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("open the null device: %w", err)
	}
	s := &Starting{command: c, null: null, pidfd: -1}
	s.attr = &syscall.ProcAttr{
		Dir:   c.Dir,
		Env:   Environ(c.Env, c.Dir),
		Files: descriptors(c.Files, null),
		Sys:   sysProcAttr(c, &s.pidfd),
	}
	s.path, s.argv = withPIDEnv(c)
	if len(c.PIDEnv) > 0 {
		// The shell would say it on the log, and exit.
		if err := unix.Access(c.Path, unix.X_OK); err != nil {
			s.Close()
			return nil, s.Explain(err)
		}
	}
	return s, nil
}

// Fork starts the process, as a child of the calling thread. The child has all that this
// thread has of its own: its namespaces, its rights and the filters on it. The error is
// the system's own: see Explain. Fork is called once.
//
// Apart from fork and exec, Fork reads from no filesystem except /proc. The exec may hang
// if the program is on a filesystem that does not answer.
func (s *Starting) Fork(ctx context.Context) (*Process, error) {
	s.command.Cgroup.join(s.attr.Sys)
	pid := 0
	err := whileBusy(ctx, func() (err error) {
		pid, err = s.fork()
		return err
	})
	runtime.KeepAlive(s.command.Files)
	if err != nil {
		return nil, err
	}
	return newProcess(pid, s.pidfd), nil
}

// fork starts the process, unless its program is open for writing: see whileBusy.
//
// It does not use os.StartProcess, whose Process holds a descriptor of its own
// and whose Wait blocks a thread for each process (golang.org/issue/60481).
func (s *Starting) fork() (pid int, err error) {
	if s.command.Attr == nil && s.command.Cgroup == nil {
		p := vfork.Program{Path: s.path, Argv: s.argv, Env: s.attr.Env, Dir: s.attr.Dir, Setsid: !s.command.NoSession}
		p.Files = make([]int, len(s.attr.Files))
		for i, fd := range s.attr.Files {
			p.Files[i] = int(fd) // closed is -1
		}
		pid, s.pidfd, err = vfork.Start(&p)
		// ENOSYS is an ErrUnsupported, too, and that of a call that package syscall would
		// make as well is final.
		var refused *os.SyscallError
		if errors.As(err, &refused) || !errors.Is(err, errors.ErrUnsupported) {
			return pid, err
		}
	}
	return forkKnown(s.path, s.argv, s.attr)
}

// Explain says what the error of Fork means for the program.
func (s *Starting) Explain(err error) error {
	if why := s.command.Cgroup.explain(err, s.command.Path); why != nil {
		return why
	}
	return explainStart(err, s.command, len(s.attr.Files)-1)
}

// Close frees what Prepare has made. More than once is the same as once.
func (s *Starting) Close() {
	if s.null >= 0 {
		unix.Close(s.null)
	}
	s.null = -1
	s.command.Cgroup.Close()
}

// descriptors returns what is to be the child's descriptors.
func descriptors(files []*os.File, null int) []uintptr {
	fds := make([]uintptr, max(len(files), firstFile))
	for i := range fds {
		switch {
		case i < len(files) && files[i] != nil:
			fds[i] = files[i].Fd()
		case i < firstFile:
			fds[i] = uintptr(null)
		default:
			fds[i] = closed
		}
	}
	return fds
}

// withPIDEnv returns the program to execute, and its arguments. Only the process
// itself knows its id before the program runs: where that is asked for, a shell
// sets the variables, and becomes the program. With LISTEN_PID among them the program is
// started as systemd starts services, with SIGPIPE ignored. The shell does
// it, for a program in Go can ignore a signal only for itself and all its children.
func withPIDEnv(c Command) (path string, argv []string) {
	argv = append([]string{cmp.Or(c.Arg0, c.Path)}, c.Args...)
	if len(c.PIDEnv) == 0 {
		return c.Path, argv
	}
	var script strings.Builder
	for _, name := range c.PIDEnv {
		fmt.Fprintf(&script, "export %s=$$; ", name)
		if name == "LISTEN_PID" {
			script.WriteString("trap '' PIPE; ")
		}
	}
	script.WriteString(`exec "$0" "$@"`)
	return "/bin/sh", append([]string{"sh", "-c", script.String()}, argv...)
}

// whileBusy calls start, and calls it again for a moment while the program is open for
// writing (ETXTBSY, execve(2)): somebody has just written it, or another thread forked
// while it was being written and its child has not come to its exec yet.
func whileBusy(ctx context.Context, start func() error) (err error) {
	tried := func() bool {
		err = start()
		return !errors.Is(err, syscall.ETXTBSY)
	}
	if !tried() {
		bound, cancel := context.WithTimeout(ctx, 250*time.Millisecond)
		defer cancel()
		until(bound, tried)
	}
	return err
}
