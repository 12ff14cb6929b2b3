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
	// Prepare puts it in place, and returns the probe of this one launch, so
	// that the value it is called on stays free of any launch's state. ctx
	// bounds the preparing only. What Prepare makes it hands over with
	// [Setup.Cleanup], also when it then fails. An error ends the launch
	// before anything is started.
	Prepare(ctx context.Context, s *Setup) (Probe, error)
}

// A Setup is one launch before its process starts: what a [Preparer] may add to
// it. The zero value with a Name and a RuntimeDir is ready to use. It is used
// from one goroutine.
type Setup struct {
	Name, RuntimeDir string // of the pod; the directory is absolute

	// Env is appended to the pod's environment.
	Env []string

	// PIDEnv names variables that get the pod's own process id as their value,
	// which nobody knows before it is started (LISTEN_PID of sd_listen_fds(3)).
	// It costs a shell between launcher and program, which replaces itself; and
	// as shells do, that sets PWD, and may lose variables whose names are not
	// made of letters, digits and underscores.
	PIDEnv []string

	// Files are handed to the pod, from descriptor 3; a nil one is closed
	// there. See [Setup.AddFile]. They are closed here once the process has
	// been started, or never will be.
	Files []*os.File

	// Extend moves the deadline of the launch so that at least d remains,
	// within the launch's own hard limit. Nil means that it cannot be moved.
	// It may be called until the launch is over, and later in vain, from any
	// goroutine.
	Extend func(d time.Duration)

	// Status shows a line to whoever watches the launch's progress, as if the
	// pod had written it. Nil means that nobody does. It does not block, and
	// may be called like Extend.
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

// Cleanup has f called when the launch is over, whether the pod is ready or
// not, and also when it was never started. The last one is called first.
func (s *Setup) Cleanup(f func()) { s.cleanups = append(s.cleanups, f) }

// Close calls what was given to [Setup.Cleanup], once. One that panics keeps no
// other from being called. The launcher does it; who calls Prepare elsewhere, in a
// test, has to.
func (s *Setup) Close() {
	if len(s.cleanups) == 0 {
		return
	}
	defer s.Close() // also if f panics
	last := len(s.cleanups) - 1
	f := s.cleanups[last]
	s.cleanups = s.cleanups[:last]
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
// probe to wait for; a combinator of one's own calls it for what it holds.
func Prepare(ctx context.Context, p Probe, s *Setup) (Probe, error) {
	preparer, ok := p.(Preparer)
	if !ok {
		return p, nil
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
