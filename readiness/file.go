package readiness

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"syscall"
)

// File waits for a file that the pod makes when it is ready, and for what is in
// it.
//
// What is there before the pod is started, of an earlier run, does not count
// until it has become another file, or its size or time of change is another.
// That can be told only of a probe that is prepared, as the launcher does.
//
// It tries again while the file is missing, is still the old one, or does not
// match. Any other error is final, unless Schedule.Final says otherwise: no
// permission, a path that leads through a file.
type File struct {
	// Path of the file; a relative one is taken from the pod's runtime directory.
	// Required.
	Path string

	// Match is an expression for the file's content, of which the first 64 KiB
	// are read. Its groups may give the endpoint, as those of a [Pattern]. A file
	// that is no regular one is then an error. Nil means that the file has only
	// to be there, whatever it is.
	//
	// The pod may be about to write the rest: an expression that needs the end of
	// what it writes ("\n$") does not match half of it.
	Match *regexp.Regexp

	// Schedule of the attempts.
	Schedule
}

var (
	_ Probe    = File{}
	_ Preparer = File{}
)

const maxFile = 64 << 10

// Prepare implements [Preparer]: it notes what is there.
func (f File) Prepare(_ context.Context, s *Setup) (Probe, error) {
	path, err := f.check(s.RuntimeDir)
	if err != nil {
		return nil, err
	}
	old, err := os.Stat(path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("readiness.File.Path: %w", err)
	}
	return preparedFile{f, old}, nil
}

// Wait implements [Probe]. The error is a [*PendingError] once ctx is done.
func (f File) Wait(ctx context.Context, t Target) (Endpoint, error) {
	return preparedFile{f, nil}.Wait(ctx, t)
}

// String describes the probe.
func (f File) String() string {
	if f.Match == nil {
		return fmt.Sprintf("the file %q", f.Path)
	}
	return fmt.Sprintf("the file %q with content that matches %q", f.Path, f.Match)
}

// check makes sure that the fields can work, and returns the path.
func (f File) check(runtimeDir string) (path string, err error) {
	switch {
	case f.Path == "":
		return "", errors.New("readiness.File.Path: it is empty")
	case runtimeDir == "" && !filepath.IsAbs(f.Path):
		return "", fmt.Errorf("readiness.File.Path: %q is relative, and the pod has no runtime directory", f.Path)
	case f.Match != nil:
		if err := checkGroups("readiness.File.Match", f.Match); err != nil {
			return "", err
		}
	}
	return absolute(f.Path, runtimeDir), f.Schedule.check("File")
}

// A preparedFile is a File that knows what was there before the start; nil if
// nothing was.
type preparedFile struct {
	File
	old fs.FileInfo
}

// Wait implements [Probe].
func (f preparedFile) Wait(ctx context.Context, t Target) (Endpoint, error) {
	path, err := f.check(t.RuntimeDir)
	if err != nil {
		return Endpoint{}, err
	}
	return Poll{
		What:     f.String(),
		Check:    func(_ context.Context, t Target) (Endpoint, error) { return f.look(path, t) },
		Schedule: f.Schedule.or(Schedule{Final: func(err error) bool { return !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, errNotYet) }}),
	}.Wait(ctx, t)
}

// errNotYet marks what is wrong with a file that may still become right.
var errNotYet = errors.New("not ready")

// look makes one attempt.
func (f preparedFile) look(path string, t Target) (Endpoint, error) {
	fi, err := os.Stat(path)
	switch {
	case err != nil:
		return Endpoint{}, err
	case f.isOld(fi):
		return Endpoint{}, fmt.Errorf("%s is %w: it is the one that was there before the pod was started", path, errNotYet)
	case f.Match == nil:
		return Endpoint{}, nil
	case !fi.Mode().IsRegular():
		return Endpoint{}, fmt.Errorf("%s is not a regular file (mode %v), and cannot be matched", path, fi.Mode())
	}
	content, err := readStart(path)
	if err != nil {
		return Endpoint{}, err
	}
	match := f.Match.FindSubmatchIndex(content)
	switch {
	case match == nil:
		return Endpoint{}, fmt.Errorf("the content of %s is %w: %s", path, errNotYet, quoted(content))
	case !givesEndpoint(f.Match):
		return Endpoint{}, nil
	}
	e, err := groupsEndpoint(f.Match, content, match, "", t.WorkDir)
	if err != nil {
		return Endpoint{}, fmt.Errorf("readiness.File.Match: %w", err)
	}
	return e, nil
}

// isOld reports whether fi is what was there before the start.
func (f preparedFile) isOld(fi fs.FileInfo) bool {
	return f.old != nil && os.SameFile(f.old, fi) && fi.ModTime().Equal(f.old.ModTime()) && fi.Size() == f.old.Size()
}

// readStart reads what a file begins with. It does not block if the file has
// become a FIFO.
func readStart(path string) ([]byte, error) {
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return io.ReadAll(io.LimitReader(f, maxFile))
}
