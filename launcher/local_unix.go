//go:build linux || darwin || freebsd

package launcher

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// supported says whether pods can be launched on this system.
const supported = true

// sigCont wakes a process that is stopped.
const sigCont = syscall.SIGCONT

// Start implements [Starter]. Its error wraps the system's own, and says what
// it means for a program: an interpreter that is missing, for instance.
func (Local) Start(ctx context.Context, req StartRequest) (Process, error) {
	sweepReleased()
	// Not by package os, which would ask whether it can be polled.
	null, err := unix.Open(os.DevNull, unix.O_RDWR|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("open the null device: %w", err)
	}
	defer unix.Close(null)
	files := append([]*os.File{nil, req.Stdout, req.Stderr}, req.Files...)
	highest, start := descriptorsToClose()
	fds := make([]uintptr, 0, max(len(files), highest+1))
	for i, f := range files {
		switch {
		case f != nil:
			fds = append(fds, f.Fd())
		case i < firstFile:
			fds = append(fds, uintptr(null))
		default:
			fds = append(fds, closed)
		}
	}
	for len(fds) <= highest {
		fds = append(fds, closed)
	}
	pidfd := -1
	attr := &syscall.ProcAttr{
		Dir: req.WorkDir,
		// Environ keeps the last value of each variable, and sets PWD where the
		// environment is the caller's.
		Env:   (&exec.Cmd{Env: req.Command.Env, Dir: req.WorkDir}).Environ(),
		Files: fds,
		Sys:   sysProcAttr(&pidfd),
	}
	path, argv := withPIDEnv(req)
	if len(req.PIDEnv) > 0 {
		// The shell would say it on the log, and exit.
		if err := unix.Access(req.Command.Path, unix.X_OK); err != nil {
			return nil, explainStart(err, req)
		}
	}
	pid, err := startProcess(ctx, start, path, argv, attr)
	runtime.KeepAlive(files)
	if err != nil {
		return nil, explainStart(err, req)
	}
	return newProcess(pid, pidfd), nil
}

// withPIDEnv returns the program to execute, and its arguments. Only the process
// itself knows its id before the program runs: where that is asked for, a shell
// sets the variables, and becomes the program.
func withPIDEnv(req StartRequest) (path string, argv []string) {
	argv = append([]string{req.Command.Path}, req.Command.Args...)
	if len(req.PIDEnv) == 0 {
		return req.Command.Path, argv
	}
	var script strings.Builder
	for _, name := range req.PIDEnv {
		fmt.Fprintf(&script, "export %s=$$; ", name)
	}
	script.WriteString(`exec "$0" "$@"`)
	return "/bin/sh", append([]string{"sh", "-c", script.String()}, argv...)
}

// startProcess starts a process, and tries again for a moment while the
// program is open for writing (ETXTBSY, execve(2)): somebody has just written
// it, or another thread forked while it was being written and its child has
// not come to its exec yet.
//
// It does not use os.StartProcess for start, whose Process holds a descriptor of its own
// and whose Wait blocks a thread for each process (golang.org/issue/60481).
func startProcess(ctx context.Context, start forkExec, path string, argv []string, attr *syscall.ProcAttr) (int, error) {
	for delay := time.Millisecond; ; delay *= 2 {
		pid, _, err := start(path, argv, attr)
		if !errors.Is(err, syscall.ETXTBSY) || delay > 128*time.Millisecond {
			return pid, err
		}
		timer := time.NewTimer(delay)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return 0, err
		}
	}
}

// closed is an entry of syscall.ProcAttr.Files that stands for no file: the
// child closes what it has there (as for a nil entry in os.ProcAttr.Files).
const closed = ^uintptr(0)

// explainStart says what err means for the program of req. The system tells
// only an error number, the same one for several mistakes.
func explainStart(err error, req StartRequest) error {
	path := req.Command.Path
	err = &fs.PathError{Op: "exec", Path: path, Err: err}
	fi, statErr := os.Stat(path)
	switch {
	case mayEnter(req.WorkDir) != nil:
		return fmt.Errorf("%w: the working directory %q cannot be entered any more", err, req.WorkDir)
	case errors.Is(err, syscall.ENOENT) && statErr == nil:
		return fmt.Errorf("%w: the program is there, %s is not", err, interpreter(path))
	case errors.Is(err, syscall.EACCES) && statErr == nil:
		return fmt.Errorf("%w: it is not executable for us (mode %v), or its filesystem is mounted noexec", err, fi.Mode())
	case errors.Is(err, syscall.ENOEXEC) && statErr == nil && fi.Size() == 0:
		return fmt.Errorf("%w: the file is empty", err)
	case errors.Is(err, syscall.ENOEXEC):
		return fmt.Errorf("%w: it is neither a program for %s/%s nor a script with a #! line", err, runtime.GOOS, runtime.GOARCH)
	case errors.Is(err, syscall.E2BIG):
		args, env := argumentSizes(&req.Command)
		return fmt.Errorf("%w: %d bytes of arguments, %d bytes of environment", err, args, env)
	case errors.Is(err, syscall.ETXTBSY):
		return fmt.Errorf("%w: somebody has the program open for writing", err)
	case errors.Is(err, syscall.EBADF):
		// All that it gets is open, but the child cannot have it where it is to
		// be, nor on the way there.
		return fmt.Errorf("%w: %w: the limit on descriptors (ulimit -n), %d, is too low for a process that gets one with the number %d",
			err, syscall.EMFILE, descriptorLimit(), firstFile+len(req.Files)-1)
	case errors.Is(err, syscall.EAGAIN):
		return fmt.Errorf("%w: the limit on processes is reached (ulimit -u, or the cgroup's pids.max)", err)
	}
	return err
}

// descriptorLimit returns the number that descriptors must be below.
func descriptorLimit() uint64 {
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
		return math.MaxUint64
	}
	return uint64(limit.Cur)
}

// interpreter names what a program that exists needs in order to run.
func interpreter(path string) string {
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return "its interpreter"
	}
	defer f.Close()
	head := make([]byte, 256)
	n, _ := f.Read(head)
	line, _, _ := strings.Cut(string(head[:n]), "\n")
	if script, ok := strings.CutPrefix(line, "#!"); ok {
		return fmt.Sprintf("its interpreter %q", strings.TrimSpace(script))
	}
	return "its dynamic loader"
}

// mayEnter reports whether a process of ours can be in dir.
func mayEnter(dir string) error {
	return unix.Faccessat(unix.AT_FDCWD, dir, unix.X_OK, unix.AT_EACCESS)
}

// argumentSizes returns how many bytes of a new process's stack its arguments
// and its environment take, pointers included (execve(2)).
func argumentSizes(c *Command) (args, env int) {
	const pointer = 4 << (^uintptr(0) >> 63) // 4 or 8 bytes
	args = 2*(len(c.Path)+1) + pointer       // the path counts once more, as itself
	for _, a := range c.Args {
		args += len(a) + 1 + pointer
	}
	list := c.Env
	if list == nil {
		list = os.Environ()
	}
	for _, e := range list {
		env += len(e) + 1 + pointer
	}
	return args, env
}
