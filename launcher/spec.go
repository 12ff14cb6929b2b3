package launcher

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/google/uuid"

	"github.com/podlaunch/podlaunch/launcher/internal/unixproc"
)

// MaxOverlay is the longest argument, in bytes, and so the longest overlay that
// is one ([OverlayAsArgument]): Linux takes none that is longer (MAX_ARG_STRLEN,
// 131072 with its final NUL; execve(2)).
const MaxOverlay = 128<<10 - 1

// maxSignal is the last of the real-time signals (signal(7)).
const maxSignal = 64

// maxFiles is how many Spec.Files there can be: those before lockDescriptor.
const maxFiles = 17

// ErrInvalidSpec says that a launch was asked for what cannot be done. Nothing
// was started, nor created, unless it takes the probe to tell ([Spec.Files]). The error
// that wraps it says which field of [Spec] it is, and which limit.
var ErrInvalidSpec = errors.New("invalid spec")

// A Spec describes one launch.
type Spec struct {
	// Name of the pod; see [runtimedir.ValidateName]. Required.
	Name string

	// Overlay is TOML that the pod lays over its configuration, passed as
	// --overlay, and then at most [MaxOverlay] bytes long. It appears in no error
	// and no log of this package, but every user of the machine can see it in the
	// list of processes, unless [Launcher.OverlayTransport] is set.
	Overlay string

	// Dir is the pod's working directory. A relative one is taken from the
	// caller's. Empty means the caller's.
	Dir string

	// Session to resume, passed as --session. uuid.Nil means a fresh one.
	Session uuid.UUID

	// Args are appended to the command, last.
	Args []string

	// Env is the pod's environment, as in [exec.Cmd]: nil means the caller's;
	// the last of several values of a variable counts. Every pod gets POD_NAME
	// and POD_RUNTIME_DIR besides, which are its Name and its runtime directory.
	// They count before Env, as does what the probe adds ([readiness.Setup.Env]).
	Env []string

	// Files are handed to the pod, from descriptor 3 on, as exec.Cmd.ExtraFiles are;
	// a nil one is closed there. There are at most 17, for 20 is the pod's lock. What
	// the probe hands over ([readiness.Setup.Files]) needs other places: if both want
	// one, the launch fails with ErrInvalidSpec before the process starts. They stay
	// the caller's, who closes them once Launch has returned.
	Files []*os.File

	// Stdin is the pod's standard input. Nil means the null device, unless StdinOpen
	// is set. It stays the caller's, who closes it once Launch has returned. It may end
	// before the pod does: a pipe that this program writes to ends with this program.
	Stdin *os.File

	// StdinOpen gives the pod a standard input that holds nothing and never ends, also
	// when this program does. It is for a program that ends when its standard input
	// does: esbuild, tailwindcss, cat. It is a pipe; the pod's descriptor is both ends of
	// it, and there is no other. A launch with it and Stdin fails with ErrInvalidSpec,
	// and on anything but Linux with [errors.ErrUnsupported].
	StdinOpen bool

	// LogStdout sends the pod's standard output to the log too. Otherwise it
	// goes to the null device.
	LogStdout bool

	// KillMode says whom Stop signals, and whom it ends. 0 means [KillAll].
	KillMode KillMode

	// StopSignal is what Stop sends first. 0 means SIGTERM.
	StopSignal syscall.Signal

	// Progress gets each line that the pod writes before it is ready, except
	// the ready line. Nil means nobody wants them.
	//
	// It is called from one goroutine, one line after the other, and never
	// again once Launch has returned. It holds nobody up: if it is too slow,
	// the lines that it did not get are counted in [Error.Dropped] and in the
	// Logger, and are still in the log.
	Progress func(line string)
}

// A KillMode says who gets the stop signal when a pod is stopped, and who is ended. The
// words are systemd's (systemd.kill(5)).
//
// What belongs to a pod are its first process, the group and the session of that, their
// descendants, who holds the lock of the pod's name, and who has the pod's POD_LAUNCH_ID in its
// environment. A pod that this pod has launched is a pod of its own.
type KillMode int

const (
	// KillAll sends the stop signal to all that belongs to the pod, and SIGKILL, after
	// the grace, to who is left.
	KillAll KillMode = iota

	// KillMixed sends the stop signal to the first process, and SIGKILL, after the
	// grace, to who is left. It is for servers whose workers are ended by their parent.
	KillMixed

	// KillFirst sends the stop signal, and after the grace SIGKILL, to the first
	// process. What it has started stays. The name is free once that has gone.
	KillFirst
)

// validate reports what is wrong with s, before anything is touched. It leaves out
// the Name, which has a stage of its own.
func (s *Spec) validate(transport OverlayTransport) error {
	switch {
	case strings.IndexByte(s.Overlay, 0) >= 0:
		return fmt.Errorf("%w: Overlay holds a NUL at byte %d: %w", ErrInvalidSpec, strings.IndexByte(s.Overlay, 0), syscall.EINVAL)
	case transport < OverlayAsArgument || transport > OverlayAsDescriptor:
		return fmt.Errorf("%w: Launcher.OverlayTransport is %v, which there is not: %w", ErrInvalidSpec, transport, syscall.EINVAL)
	case transport == OverlayAsArgument && len(s.Overlay) > MaxOverlay:
		return fmt.Errorf("%w: Overlay has %d bytes, the limit for an argument is %d; set Launcher.OverlayTransport to OverlayAsFile or OverlayAsDescriptor: %w", ErrInvalidSpec, len(s.Overlay), MaxOverlay, syscall.E2BIG)
	}
	switch {
	case s.KillMode < KillAll || s.KillMode > KillFirst:
		return fmt.Errorf("%w: KillMode is %d, which there is not: %w", ErrInvalidSpec, s.KillMode, syscall.EINVAL)
	case s.StopSignal < 0 || s.StopSignal > maxSignal:
		return fmt.Errorf("%w: StopSignal is %d, and signals are 1 to %d: %w", ErrInvalidSpec, s.StopSignal, maxSignal, syscall.EINVAL)
	}
	if err := checkStrings("Args", s.Args); err != nil {
		return fmt.Errorf("%w: %w", ErrInvalidSpec, err)
	}
	if err := checkStrings("Env", s.Env); err != nil {
		return fmt.Errorf("%w: %w", ErrInvalidSpec, err)
	}
	return s.checkFiles()
}

// checkFiles makes sure that Stdin and each of Files can be handed over.
func (s *Spec) checkFiles() error {
	switch {
	case s.Stdin != nil && s.StdinOpen:
		return fmt.Errorf("%w: Stdin and StdinOpen are both set: %w", ErrInvalidSpec, syscall.EINVAL)
	case s.Stdin != nil && isClosed(s.Stdin):
		return fmt.Errorf("%w: Stdin is closed: %w", ErrInvalidSpec, os.ErrClosed)
	}
	if len(s.Files) > maxFiles {
		return fmt.Errorf("%w: Files has %d files, the limit is %d, for the pod's lock comes next: %w", ErrInvalidSpec, len(s.Files), maxFiles, syscall.E2BIG)
	}
	for i, f := range s.Files {
		if f != nil && isClosed(f) {
			return fmt.Errorf("%w: Files[%d] is closed: %w", ErrInvalidSpec, i, os.ErrClosed)
		}
	}
	return nil
}

// isClosed reports whether f is closed. It leaves alone whether f blocks.
func isClosed(f *os.File) bool {
	conn, err := f.SyscallConn()
	return err != nil || conn.Control(func(uintptr) {}) != nil
}

// checkStrings makes sure that each of list, the field called what, can be
// passed to a process. It does not quote them, for they may be secret.
func checkStrings(what string, list []string) error {
	for i, s := range list {
		if at := strings.IndexByte(s, 0); at >= 0 {
			return fmt.Errorf("%s[%d] holds a NUL at byte %d: %w", what, i, at, syscall.EINVAL)
		}
		if len(s) > MaxOverlay {
			return fmt.Errorf("%s[%d] has %d bytes, the limit is %d: %w", what, i, len(s), MaxOverlay, syscall.E2BIG)
		}
	}
	return nil
}

// workDir returns the pod's working directory, absolute, after making sure
// that a process can be in it.
func (s *Spec) workDir() (string, error) {
	dir, err := filepath.Abs(s.Dir) // of "", the caller's
	if err != nil {
		return "", fmt.Errorf("working directory: %w", err)
	}
	fi, err := os.Stat(dir)
	if err == nil && !fi.IsDir() {
		err = &fs.PathError{Op: "chdir", Path: dir, Err: syscall.ENOTDIR}
	}
	if err == nil {
		if accessErr := unixproc.MayEnter(dir); accessErr != nil {
			err = &fs.PathError{Op: "chdir", Path: dir, Err: accessErr}
		}
	}
	if err != nil {
		return "", fmt.Errorf("working directory: %w", err)
	}
	return dir, nil
}
