package readiness

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
)

// File waits for a file that the pod makes when it is ready, and for what is in
// it.
//
// A file of an earlier run, which is there before the pod starts, does not count
// until it has become another file, or its size or time of change is another.
// Only a prepared probe can see that; the launcher prepares it.
//
// It tries again while the file is missing, is still the old one, or does not match, and
// on Windows while the pod lets nobody else read it. Any other error is final, unless
// Schedule.Final says otherwise: no permission, a path that leads through a file.
type File struct {
	// Path of the file; a relative one is taken from the pod's runtime directory.
	// {name}, {dir} and {pid} in it stand for the pod's name, its runtime directory
	// and the id of its process, for a program that calls a file after that.
	// Required.
	Path string

	// Match is an expression for the first 64 KiB of the file's content. Its groups
	// may give the endpoint, as those of a [Pattern]. With a Match it is an error if
	// the file is not a regular one. Nil means that the file has only to be there,
	// and may be of any type.
	//
	// The pod may be about to write the rest: an expression that needs the end of
	// what it writes ("\n$") does not match half of it.
	Match *regexp.Regexp

	// Value gets what the group called value has matched; see [Fact]. The zero
	// Fact means that there is no such group.
	Value Fact[string]

	// Schedule of the attempts.
	Schedule
}

var (
	_ Probe    = File{}
	_ Preparer = File{}
)

// Prepare implements [Preparer]: it notes what is there.
func (f File) Prepare(_ context.Context, s *Setup) (Probe, error) {
	path, err := f.check(s.Name, s.RuntimeDir)
	if err != nil {
		return nil, err
	}
	paths := []string{path}
	if strings.Contains(path, holePID) { // one of them may get the pid again
		if paths, err = filepath.Glob(strings.ReplaceAll(noMeta.Replace(path), holePID, "[0-9]*")); err != nil {
			return nil, fmt.Errorf("readiness.File.Path: %w", err)
		}
	}
	old, err := whatIsAt("File", paths)
	if err != nil {
		return nil, err
	}
	return preparedFile{f, old}, nil
}

// holePID stands for the pod's pid in a path.
const holePID = "{pid}"

// noMeta quotes what has a meaning for [filepath.Glob].
var noMeta = strings.NewReplacer(`\`, `\\`, `*`, `\*`, `?`, `\?`, `[`, `\[`)

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

// check makes sure that the fields can work, and returns the path, which may
// still lack the pid.
func (f File) check(name, runtimeDir string) (path string, err error) {
	switch {
	case f.Path == "":
		return "", errors.New("readiness.File.Path: it is empty")
	case runtimeDir == "" && !filepath.IsAbs(f.Path): // {dir} too
		return "", fmt.Errorf("readiness.File.Path: %q is relative, and the pod has no runtime directory", f.Path)
	case f.Match != nil:
		if err := f.matching().check(); err != nil {
			return "", err
		}
	case f.Value != (Fact[string]{}):
		return "", fmt.Errorf("readiness.File.Value: it is set (%v), and there is no Match to give it", f.Value)
	}
	path = strings.NewReplacer("{name}", name, "{dir}", runtimeDir).Replace(f.Path)
	if err := checkDrive(path); err != nil {
		return "", fmt.Errorf("readiness.File.Path: %w", err)
	}
	return absolute(path, runtimeDir), f.Schedule.check("File")
}

func (f File) matching() matching {
	return matching{field: "readiness.File.Match", expr: f.Match, value: f.Value}
}

// A preparedFile is a File that knows what was there before the start, by path.
type preparedFile struct {
	File
	old oldFiles
}

// Wait implements [Probe].
func (f preparedFile) Wait(ctx context.Context, t Target) (Endpoint, error) {
	path, err := f.check(t.Name, t.RuntimeDir)
	if err != nil {
		return Endpoint{}, err
	}
	if strings.Contains(path, holePID) {
		if t.PID <= 0 {
			return Endpoint{}, fmt.Errorf("readiness.File.Path: %q holds %s, and the pod's pid is not known", f.Path, holePID)
		}
		path = strings.ReplaceAll(path, holePID, strconv.Itoa(t.PID))
	}
	return Poll{
		What:  f.String(),
		Check: func(_ context.Context, t Target) (Endpoint, error) { return f.look(path, t) },
		Schedule: f.Schedule.or(Schedule{Final: func(err error) bool {
			return !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, errNotYet) && !isAnyOf(err, isBeingWritten)
		}}),
	}.Wait(ctx, t)
}

// look makes one attempt.
func (f preparedFile) look(path string, t Target) (Endpoint, error) {
	if f.Match == nil {
		fi, err := os.Stat(path)
		if err != nil {
			return Endpoint{}, err
		}
		return Endpoint{}, f.old.isOld(path, fi)
	}
	content, err := f.old.read(path)
	if err != nil {
		return Endpoint{}, err
	}
	match := f.Match.FindSubmatchIndex(content)
	if match == nil {
		return Endpoint{}, fmt.Errorf("the content of %s is %w: %s", path, errNotYet, quoted(content))
	}
	return f.matching().learn(t, content, match)
}
