package launcher

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/google/uuid"

	"github.com/podlaunch/podlaunch/launcher/internal/osproc"
	"github.com/podlaunch/podlaunch/launcher/internal/ownership"
)

// MaxOverlay is the longest argument, in bytes, and so the longest overlay that
// is one ([OverlayAsArgument]): Linux takes none that is longer (MAX_ARG_STRLEN,
// 131072 with its final NUL; execve(2)).
const MaxOverlay = 128<<10 - 1

// maxSignal is the last of the real-time signals (signal(7)).
const maxSignal = 64

// maxFiles is how many Spec.Files there can be: from descriptor 3 on, before the pod's lock.
const maxFiles = ownership.LockDescriptor - 3

// ErrInvalidSpec says that a launch was asked for what cannot be done. Nothing
// was started, nor created, unless it takes the probe to tell ([Spec.Files]). The error
// that wraps it says which field of [Spec] it is, and which limit.
var ErrInvalidSpec = errors.New("invalid spec")

// A Spec describes one launch.
type Spec struct {
	// Name of the pod; see [runtimedir.ValidateName]. Required. Exception: a private pod
	// has none, see [Launcher.Dir]. The launch draws one at random, for
	// [Pod.Name], POD_NAME and its ready line.
	Name string

	// Overlay is TOML that the pod lays over its configuration, passed as
	// --overlay, and then at most [MaxOverlay] bytes long. It appears in no error
	// and no log of this package, but every user of the machine can see it in the
	// list of processes, unless [Launcher.OverlayTransport] is set.
	Overlay string

	// Dir is the pod's working directory. A relative path is taken from the caller's.
	// Empty means the caller's. If somebody removes the directory later, the pod goes on,
	// but it can no longer start or open anything by a relative path. Give a pod that
	// outlives its caller a directory that stays, such as "/". [Launcher.List] reports a
	// pod whose directory is gone.
	Dir string

	// Session to resume, passed as --session. uuid.Nil means a fresh one.
	Session uuid.UUID

	// Args are appended to the command, last.
	Args []string

	// Env is the pod's environment, as in [exec.Cmd]: nil means the caller's;
	// the last of several values of a variable counts. Every pod gets POD_NAME,
	// POD_RUNTIME_DIR and POD_LAUNCH_ID besides: its Name, its runtime directory and the
	// id of the launch. Their values replace those of Env, and so do the values that the
	// probe sets ([readiness.Setup.Env]).
	Env []string

	// Files are handed to the pod, from descriptor 3 on, as exec.Cmd.ExtraFiles are;
	// a nil one is closed there. There are at most 17, for 20 is the pod's lock. What
	// the probe hands over ([readiness.Setup.Files]) needs other places: if both want
	// one, the launch fails with ErrInvalidSpec before the process starts. They stay
	// the caller's, who closes them once Launch has returned. On Windows a program finds
	// no file by its number, and the launch fails with [errors.ErrUnsupported].
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
	// goes to the null device, unless Stdout is set. A launch with it and a Stdout that
	// is not Stderr fails with ErrInvalidSpec.
	LogStdout bool

	// Stdout and Stderr get every byte that the pod writes, in order, once: from its
	// first one until the pod is gone, or [Pod.Release]. Stderr gets what is in the log.
	// For Stdout the pod has another file, [logsource.StdoutName] in its runtime
	// directory. If both are the same writer, as for [exec.Cmd], everything goes to the
	// log and comes from there, in the order in which it was written, and that writer is
	// called by one goroutine at a time. Nil means that nobody wants it.
	//
	// The pod always writes into a file, which a goroutine follows, also if the writer is
	// an *os.File. So a pod does not notice that this program ends, and a writer that is
	// slow is only behind: Launch, Stop, Pod.Done and Release do not wait for it, but
	// [Pod.Drain] does. A launch that fails waits for 2 s, says in its Error what a writer
	// did not get, and calls none after it has returned.
	//
	// A writer that returns an error is not called again; Drain returns the error. The pod
	// goes on. If one panics during the launch, that ends the launch, and goes on in the
	// goroutine that called Launch; later it ends the program. What was written before the
	// pod truncated its file, and not read by then, is lost.
	//
	// A log that is not written here ([logsource.Log.Sink]) may not be able to tell the two
	// apart: then the launch fails with [errors.ErrUnsupported] before anything is started.
	// A pod that was attached to has no writers; see [Pod.Follow].
	Stdout, Stderr io.Writer

	// KillMode says whom Stop signals, and whom it ends. 0 means [KillAll].
	KillMode KillMode

	// StopSignal is what Stop sends first. 0 means SIGTERM. On Windows it is SIGTERM,
	// which is the pod's stop event or CTRL_C, SIGINT, which is CTRL_C, or SIGKILL.
	StopSignal syscall.Signal

	// Grace is how long [Pod.Stop] waits between the stop signal and SIGKILL. 0 means
	// [Launcher.Grace]; negative means no grace. It is not recorded: a program that
	// attaches uses the Grace of its own Launcher.
	Grace time.Duration

	// Lifetime says whether the pod outlives this program. 0 means [Detached]: it does.
	Lifetime Lifetime

	// Progress gets each line that the pod writes before it is ready, except
	// the ready line. Nil means nobody wants them.
	//
	// It is called from one goroutine, one line after the other, and never
	// again once Launch has returned. It holds nobody up: if it is too slow,
	// the lines that it did not get are counted in [Error.Dropped] and in the
	// Logger, and are still in the log.
	Progress func(line string)

	launched func(pid int, exited <-chan struct{}) // called once a launch of it has succeeded; nil: nobody wants to know
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
	// the grace, to those that are left.
	KillAll KillMode = iota

	// KillMixed sends the stop signal to the first process, and SIGKILL, after the
	// grace, to those that are left. It is for servers whose workers are ended by their parent.
	KillMixed

	// KillFirst sends the stop signal, and after the grace SIGKILL, to the first
	// process. What it has started stays. The name is free once that has gone.
	KillFirst
)

// String is the constant's name.
func (m KillMode) String() string {
	switch m {
	case KillAll:
		return "KillAll"
	case KillMixed:
		return "KillMixed"
	case KillFirst:
		return "KillFirst"
	}
	return fmt.Sprintf("KillMode(%d)", int(m))
}

// validate reports what is wrong with s, before anything is touched. It leaves out
// the Name, which has a stage of its own.
func (s *Spec) validate(transport OverlayTransport) error {
	switch {
	case strings.IndexByte(s.Overlay, 0) >= 0:
		return fmt.Errorf("%w: Overlay holds a NUL at byte %d: %w", ErrInvalidSpec, strings.IndexByte(s.Overlay, 0), syscall.EINVAL)
	case transport < OverlayAsArgument || transport > OverlayAsDescriptor:
		return fmt.Errorf("%w: Launcher.OverlayTransport is %v, which there is not: %w", ErrInvalidSpec, transport, syscall.EINVAL)
	case transport == OverlayAsDescriptor && s.Overlay != "" && !osproc.PlacesFiles:
		return fmt.Errorf("%w: Launcher.OverlayTransport is %v, and a program finds no file by its number on this system; use OverlayAsFile: %w", ErrInvalidSpec, transport, errors.ErrUnsupported)
	case transport == OverlayAsArgument && len(s.Overlay) > MaxOverlay:
		return fmt.Errorf("%w: Overlay has %d bytes, the limit for an argument is %d; set Launcher.OverlayTransport to OverlayAsFile or OverlayAsDescriptor: %w", ErrInvalidSpec, len(s.Overlay), MaxOverlay, syscall.E2BIG)
	}
	switch {
	case s.KillMode < KillAll || s.KillMode > KillFirst:
		return fmt.Errorf("%w: KillMode is %d, which there is not: %w", ErrInvalidSpec, s.KillMode, syscall.EINVAL)
	case s.StopSignal < 0 || s.StopSignal > maxSignal:
		return fmt.Errorf("%w: StopSignal is %d, and signals are 1 to %d: %w", ErrInvalidSpec, s.StopSignal, maxSignal, syscall.EINVAL)
	case s.StopSignal != 0 && osproc.CanSend(s.StopSignal) != nil:
		return fmt.Errorf("%w: StopSignal: %w", ErrInvalidSpec, osproc.CanSend(s.StopSignal))
	case s.Lifetime < Detached || s.Lifetime > WithParent:
		return fmt.Errorf("%w: Lifetime is %d, which there is not: %w", ErrInvalidSpec, s.Lifetime, syscall.EINVAL)
	}
	if err := checkStrings("Args", s.Args); err != nil {
		return fmt.Errorf("%w: %w", ErrInvalidSpec, err)
	}
	if err := checkStrings("Env", s.Env); err != nil {
		return fmt.Errorf("%w: %w", ErrInvalidSpec, err)
	}
	if s.LogStdout && s.Stdout != nil && !s.sameWriter() {
		return fmt.Errorf("%w: LogStdout sends the standard output to the log, and Stdout is another writer than Stderr; leave LogStdout false, or set both to one writer: %w", ErrInvalidSpec, syscall.EINVAL)
	}
	return s.checkFiles()
}

// sameWriter reports whether one writer gets all that the pod writes.
func (s *Spec) sameWriter() (same bool) {
	defer func() {
		if recover() != nil { // they cannot be compared
			same = false
		}
	}()
	return s.Stdout != nil && s.Stdout == s.Stderr
}

// wantsOwnStdout reports whether the standard output has a place of its own.
func (s *Spec) wantsOwnStdout() bool { return s.Stdout != nil && !s.sameWriter() }

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
	if len(s.Files) > 0 && !osproc.PlacesFiles {
		return fmt.Errorf("%w: Files has %d files, and a program finds no file by its number on this system: %w", ErrInvalidSpec, len(s.Files), errors.ErrUnsupported)
	}
	for i, f := range s.Files {
		if f != nil && isClosed(f) {
			return fmt.Errorf("%w: Files[%d] is closed: %w", ErrInvalidSpec, i, os.ErrClosed)
		}
	}
	return nil
}

// isClosed reports whether f is closed, or was never opened. It leaves alone whether f blocks.
func isClosed(f *os.File) bool {
	if *f == (os.File{}) { // which package os panics about
		return true
	}
	conn, err := f.SyscallConn()
	return err != nil || conn.Control(func(uintptr) {}) != nil
}

// checkStrings makes sure that each of list, the field called what, can be
// passed to a process. It does not quote them, for they may be secret.
func checkStrings(what string, list []string) error {
	for i, s := range list {
		if err := checkString(s); err != nil {
			return fmt.Errorf("%s[%d] %w", what, i, err)
		}
	}
	return nil
}

// checkString makes sure that s can be passed to a process. The error goes on from the name
// of the field, and does not quote s.
func checkString(s string) error {
	if at := strings.IndexByte(s, 0); at >= 0 {
		return fmt.Errorf("holds a NUL at byte %d: %w", at, syscall.EINVAL)
	}
	if len(s) > MaxOverlay {
		return fmt.Errorf("has %d bytes, the limit is %d: %w", len(s), MaxOverlay, syscall.E2BIG)
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
	if s.Dir != "" { // the caller's is a directory
		var fi fs.FileInfo
		if fi, err = os.Stat(dir); err == nil && !fi.IsDir() {
			err = &fs.PathError{Op: "chdir", Path: dir, Err: syscall.ENOTDIR}
		}
	}
	if err == nil {
		if accessErr := osproc.MayEnter(dir); accessErr != nil {
			err = &fs.PathError{Op: "chdir", Path: dir, Err: accessErr}
		}
	}
	if err != nil {
		return "", fmt.Errorf("working directory: %w", err)
	}
	return dir, nil
}
