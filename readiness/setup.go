package readiness

import (
	"context"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"
)

// A Preparer is a [Probe] that needs something in place before the process
// starts: a socket to be notified on, a descriptor, a listener. It is optional.
// The probes of this package that hold others pass it on.
type Preparer interface {
	// Prepare puts it in place, and returns the probe of this one launch, so that
	// its receiver stays free of any launch's state. ctx bounds the preparing only.
	// Prepare registers the removal of what it makes with [Setup.Cleanup], also when
	// it then fails. An error ends the launch before anything starts.
	Prepare(ctx context.Context, s *Setup) (Probe, error)
}

// A Setup is one launch before its process starts: what a [Preparer] may add to
// it. The zero value with a Name and a RuntimeDir is ready to use. It is used
// from one goroutine.
type Setup struct {
	Name, RuntimeDir string // of the pod; the directory is absolute

	// Env is appended to the pod's environment.
	Env []string

	// PIDEnv names variables whose value is the pod's own process id, which is not
	// known before the process starts (LISTEN_PID of sd_listen_fds(3)). It costs a
	// shell between launcher and program, which replaces itself. As shells do, the
	// shell sets PWD, and may lose variables whose names are not made of letters,
	// digits and underscores. With LISTEN_PID among them the pod starts with SIGPIPE
	// ignored, see [Listener].
	PIDEnv []string

	// Files go to the pod, from descriptor 3; a nil file means that the descriptor is
	// closed there. See [Setup.AddFile]. The launcher closes its own copies once the
	// process has started, or never will.
	Files []*os.File

	// Extend moves the deadline of the launch so that at least d remains,
	// within the launch's own hard limit. Nil means that it cannot be moved.
	// It may be called until the launch is over, and later in vain, from any
	// goroutine.
	Extend func(d time.Duration)

	// Status shows a line to the watcher of the launch's progress, as if the pod had
	// written it. Nil means that there is no watcher. It does not block. Like Extend
	// it may be called until the launch is over, and later in vain, from any goroutine.
	Status func(line string)

	cleanups []func()
}

// MaxFiles is how many descriptors a [Setup] can hand to a pod.
const MaxFiles = 16

// AddFile hands f to the pod, at the first free descriptor, and returns the
// descriptor's number there. It takes f over, also when it fails.
func (s *Setup) AddFile(f *os.File) (fd int, err error) {
	const first = 3
	at := slices.Index(s.Files, nil)
	if at < 0 {
		at = len(s.Files)
	}
	return first + at, s.AddFileAt(first+at, f)
}

// AddFileAt hands f to the pod at the descriptor fd, which has to be free. It
// takes f over, also when it fails.
func (s *Setup) AddFileAt(fd int, f *os.File) error {
	const first = 3
	at := fd - first
	switch {
	case at < 0 || at >= MaxFiles:
		f.Close()
		return fmt.Errorf("descriptor %d cannot be handed to the pod: it must be from %d to %d", fd, first, first+MaxFiles-1)
	case at < len(s.Files) && s.Files[at] != nil:
		f.Close()
		return fmt.Errorf("descriptor %d of the pod is taken already, by another probe", fd)
	}
	for len(s.Files) <= at {
		s.Files = append(s.Files, nil)
	}
	s.Files[at] = f
	return nil
}

// addLast hands f to the pod at the highest free descriptor, so that the others
// keep their numbers. It takes f over, also when it fails.
func (s *Setup) addLast(f *os.File) error {
	const first = 3
	at := MaxFiles - 1
	for at > 0 && at < len(s.Files) && s.Files[at] != nil {
		at--
	}
	return s.AddFileAt(first+at, f)
}

// Cleanup registers f. Close calls it when the launch is over, whether the pod is
// ready or not, and also if the process never started. Close calls the last f first.
func (s *Setup) Cleanup(f func()) { s.cleanups = append(s.cleanups, f) }

// Close calls all functions that [Setup.Cleanup] registered, once. If one panics,
// Close calls the others before the panic goes on. The launcher calls Close; a test
// that calls Prepare has to.
func (s *Setup) Close() {
	if len(s.cleanups) == 0 {
		return
	}
	last := len(s.cleanups) - 1
	f := s.cleanups[last]
	s.cleanups = s.cleanups[:last]
	defer s.Close() // also if f panics
	f()
}

// CloseFiles closes the files that were to be handed to the pod. The launcher
// does it once the process has them.
func (s *Setup) CloseFiles() {
	for _, f := range s.Files {
		if f != nil {
			f.Close()
		}
	}
	s.Files = nil
}

// mark returns a function that takes back what is handed to the pod from here
// on. What has to be cleared away stays.
func (s *Setup) mark() (undo func()) {
	env, pidEnv, files := slices.Clone(s.Env), slices.Clone(s.PIDEnv), slices.Clone(s.Files)
	return func() {
		for _, f := range s.Files {
			if f != nil && !slices.Contains(files, f) {
				f.Close()
			}
		}
		s.Env, s.PIDEnv, s.Files = env, pidEnv, files
	}
}

// Prepare prepares p for one launch if it is a [Preparer], and returns the
// probe to wait for; a combinator of one's own calls it for what it holds. It refuses a
// [ProbeFunc] that is nil, and a [Poll] that cannot work.
func Prepare(ctx context.Context, p Probe, s *Setup) (Probe, error) {
	preparer, ok := p.(Preparer)
	if !ok {
		return p, checkUnprepared(p)
	}
	prepared, err := preparer.Prepare(ctx, s)
	if err != nil {
		return nil, err
	}
	if prepared == nil {
		return nil, fmt.Errorf("%s was prepared, and returned neither a probe nor an error", Describe(p))
	}
	return prepared, nil
}

// checkUnprepared refuses a probe of ours that cannot work, and is no [Preparer]: to make it one
// would change the types of others that embed it.
func checkUnprepared(p Probe) error {
	switch p := p.(type) {
	case ProbeFunc:
		return p.check()
	case Poll:
		return p.check()
	}
	return nil
}

// variable returns the element of env that sets the variable called name, or
// nil.
func variable(env []string, name string) *string {
	for i := range env {
		if strings.HasPrefix(env[i], name+"=") {
			return &env[i]
		}
	}
	return nil
}
