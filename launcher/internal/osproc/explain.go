//go:build linux || darwin || freebsd

package osproc

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"runtime"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// explainStart says what err means for the program of c, whose highest descriptor is
// last. The system reports only an error number, the same one for several mistakes.
func explainStart(err error, c Command, last int) error {
	path := c.Path
	err = &fs.PathError{Op: "exec", Path: path, Err: err}
	fi, statErr := os.Stat(path)
	switch {
	case c.Attr != nil && c.Attr.Chroot != "":
		return fmt.Errorf("%w: in the root %q of Local.Attr or Command.Attr", err, c.Attr.Chroot) // which is another place
	case c.Attr != nil && errors.Is(err, syscall.EPERM):
		return fmt.Errorf("%w: this program may not give it what Local.Attr or Command.Attr says", err)
	case c.Dir != "" && MayEnter(c.Dir) != nil:
		return fmt.Errorf("%w: the working directory %q cannot be entered any more", err, c.Dir)
	case errors.Is(err, syscall.ENOENT) && statErr == nil:
		return fmt.Errorf("%w: the program is there, %s is not", err, interpreter(path))
	case errors.Is(err, syscall.EACCES) && statErr == nil && isScript(path) && unix.Access(path, unix.X_OK) == nil:
		return fmt.Errorf("%w: the program may be executed, %s may not: it is not executable for us, or its filesystem is mounted noexec", err, interpreter(path))
	case errors.Is(err, syscall.EACCES) && statErr == nil:
		return fmt.Errorf("%w: it is not executable for us (mode %v), or its filesystem is mounted noexec", err, fi.Mode())
	case errors.Is(err, syscall.ENOEXEC) && statErr == nil && fi.Size() == 0:
		return fmt.Errorf("%w: the file is empty", err)
	case errors.Is(err, syscall.ENOEXEC):
		return fmt.Errorf("%w: it is neither a program for %s/%s nor a script with a #! line", err, runtime.GOOS, runtime.GOARCH)
	case errors.Is(err, syscall.E2BIG):
		args, env := argumentSizes(c.Path, c.Args, c.Env)
		return fmt.Errorf("%w: %d bytes of arguments, %d bytes of environment", err, args, env)
	case errors.Is(err, syscall.ETXTBSY):
		return fmt.Errorf("%w: somebody has the program open for writing", err)
	case errors.Is(err, syscall.EBADF):
		// All that it gets is open, but the child cannot have it where it is to
		// be, nor on the way there.
		return fmt.Errorf("%w: %w: the limit on descriptors (ulimit -n), %d, is too low for a process that gets one with the number %d",
			err, syscall.EMFILE, descriptorLimit(), last)
	case errors.Is(err, syscall.EAGAIN):
		return fmt.Errorf("%w: the limit on processes is reached (ulimit -u, or the cgroup's pids.max)", err)
	}
	return err
}

// interpreter names what a program that exists needs in order to run.
func interpreter(path string) string {
	script, ok := strings.CutPrefix(firstLine(path), "#!")
	switch {
	case !ok:
		return "its dynamic loader"
	case strings.HasSuffix(script, "\r"):
		return fmt.Sprintf("its interpreter %q, with the carriage return of a Windows line end (CRLF),", strings.Trim(script, " \t"))
	}
	return fmt.Sprintf("its interpreter %q", strings.TrimSpace(script))
}

func isScript(path string) bool { return strings.HasPrefix(firstLine(path), "#!") }

// firstLine returns the beginning of the first line of a file; "#!" if that cannot be read.
func firstLine(path string) string {
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return "#!"
	}
	defer f.Close()
	head := make([]byte, 256)
	n, _ := f.Read(head)
	line, _, _ := strings.Cut(string(head[:n]), "\n")
	return line
}
