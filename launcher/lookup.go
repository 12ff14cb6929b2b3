package launcher

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
)

// A NotFoundError is a program that is in none of the places where it was
// looked for. errors.Is finds [exec.ErrNotFound] in it, and what was wrong
// with each place.
type NotFoundError struct {
	Program string
	Source  string // why this program: the variable that named it, for instance
	Tried   []exec.Error
	Path    string // the PATH it was looked up on; empty if it was not
}

// Error lists every place.
func (e *NotFoundError) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "program %q (%s) not found", e.Program, e.Source)
	if len(e.Tried) == 0 {
		fmt.Fprintf(&b, ": PATH is empty")
	}
	for i, tried := range e.Tried {
		sep := "; "
		if i == 0 {
			sep = ": tried "
		}
		fmt.Fprintf(&b, "%s%s (%v)", sep, tried.Name, tried.Err)
	}
	return b.String()
}

// Unwrap returns exec.ErrNotFound and the error of each place.
func (e *NotFoundError) Unwrap() []error {
	errs := []error{exec.ErrNotFound}
	for i := range e.Tried {
		errs = append(errs, &e.Tried[i])
	}
	return errs
}

// lookPath finds program as a shell would, but never in a directory that
// depends on where the caller stands: what is found there is refused with
// exec.ErrDot, as in package os/exec. source says where the program's name
// comes from, for the error.
//
// On Windows the current directory comes before those of PATH, unless a variable says
// otherwise. A program there is refused, unless PATH leads to the same file.
func lookPath(program, source string) (string, error) {
	if hasDirectory(program) {
		return checkPath(program, source)
	}
	first := inCurrent(program)
	missed := &NotFoundError{Program: program, Source: source, Path: os.Getenv("PATH")}
	for _, dir := range filepath.SplitList(missed.Path) {
		if dir == "" && !emptyIsCurrent {
			continue
		}
		if dir == "" {
			dir = "." // unix shell semantics
		}
		candidate := filepath.Join(dir, program)
		if !filepath.IsAbs(dir) {
			candidate = "." + string(filepath.Separator) + candidate
		}
		if missed.tried(candidate) {
			continue // PATH names the directory twice
		}
		found, err := exec.LookPath(candidate) // on Windows it adds an extension of PATHEXT
		switch {
		case err == nil && first != "" && !sameFile(first, found):
			return "", refuseCurrent(program, source, first)
		case err == nil && filepath.IsAbs(dir):
			return found, nil
		case err == nil:
			return "", fmt.Errorf("program %q (%s) was found as %s through the relative entry %q of PATH, which is refused: %w",
				program, source, found, dir, exec.ErrDot)
		}
		missed.add(candidate, err)
	}
	if first != "" {
		return "", refuseCurrent(program, source, first)
	}
	return "", missed
}

func refuseCurrent(program, source, path string) error {
	return fmt.Errorf("program %q (%s) was found as %s in the current directory, which is refused; write .%c before it if that is meant: %w",
		program, source, path, filepath.Separator, exec.ErrDot)
}

func sameFile(a, b string) bool {
	first, err := os.Stat(a)
	second, otherErr := os.Stat(b)
	return err == nil && otherErr == nil && os.SameFile(first, second)
}

// checkPath makes sure that path, which has a slash or is meant to be taken as
// it is, leads to a program, and makes it absolute. On Windows it adds the extension.
func checkPath(path, source string) (string, error) {
	abs, err := filepath.Abs(path)
	if err != nil {
		return "", fmt.Errorf("program %q (%s): %w", path, source, err)
	}
	found, err := exec.LookPath(abs)
	if err != nil {
		missed := &NotFoundError{Program: path, Source: source}
		missed.add(abs, err)
		return "", missed
	}
	return found, nil
}

func (e *NotFoundError) tried(place string) bool {
	return slices.ContainsFunc(e.Tried, func(t exec.Error) bool { return t.Name == place })
}

// add notes that there is no program at place.
func (e *NotFoundError) add(place string, err error) {
	var lookup *exec.Error
	if errors.As(err, &lookup) {
		err = lookup.Err
	}
	if err == exec.ErrNotFound { // of a path, on Windows, which has tried its extensions
		err = fs.ErrNotExist
	}
	var pathErr *os.PathError
	if errors.As(err, &pathErr) {
		err = pathErr.Err
	}
	if fi, statErr := os.Stat(place); errors.Is(err, fs.ErrPermission) && statErr == nil && fi.Mode().IsRegular() && fi.Mode()&0o111 != 0 {
		err = fmt.Errorf("%w: its mode is %v, so it is executable for others alone, or its filesystem is mounted noexec", err, fi.Mode())
	}
	e.Tried = append(e.Tried, exec.Error{Name: place, Err: err})
}
