package runtimedir

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// makePrivate makes the directory name below base, for this user alone, and
// returns its path. Both must be valid already, base by resolve.
//
// makeBelow opens the base once: what is checked is what is used. One race remains and is
// out of scope: a process of the same user may replace the directory afterwards, as it may
// do anything else to us.
//
// The last of the pods of [Temp] removes the base, and another pod may make it again just
// then. So makePrivate opens a base that was replaced once more.
func makePrivate(ctx context.Context, base, name string) (path string, err error) {
	path, err = makePrivateOnce(ctx, base, name)
	for tries := 1; errors.Is(err, errReplaced) && tries < mkdirTries; tries++ {
		path, err = makePrivateOnce(ctx, base, name)
	}
	return path, err
}

func makePrivateOnce(ctx context.Context, base, name string) (string, error) {
	if err := context.Cause(ctx); err != nil {
		return "", err
	}
	there, err := os.Lstat(base)
	if err != nil || !there.IsDir() {
		if err = mkdirAll(base); err == nil {
			there, err = os.Lstat(base)
		}
	}
	if err != nil {
		return "", fmt.Errorf("%w: %w", ErrUnavailable, err)
	}
	path := filepath.Join(base, name)
	if err := makeBelow(base, there, name); err != nil {
		if !errors.Is(err, ErrInsecure) && !errors.Is(err, ErrInvalidName) && !errors.Is(err, ErrUnavailable) {
			return "", fmt.Errorf("%w: %w", ErrUnavailable, inPath(err, path))
		}
		return "", err
	}
	return path, nil
}

// resolve returns the absolute path with its symbolic links resolved once. So all checks
// are of one place, even if the links change. It keeps elements that do not exist yet
// as they are.
func resolve(path string) (string, error) {
	if hasNoLinks(path) {
		return path, nil
	}
	resolved, err := filepath.EvalSymlinks(path)
	if !errors.Is(err, fs.ErrNotExist) {
		if err == nil {
			return resolved, nil
		}
		// Not every error of EvalSymlinks tells a path.
		if pathErr := (*fs.PathError)(nil); !errors.As(err, &pathErr) {
			err = &fs.PathError{Op: "resolve", Path: path, Err: err}
		}
		return "", fmt.Errorf("%w: %w", ErrUnavailable, err)
	}
	if fi, lstatErr := os.Lstat(path); lstatErr == nil && fi.Mode()&fs.ModeSymlink != 0 {
		return "", fmt.Errorf("%w: %s is a symbolic link that leads nowhere: %w", ErrUnavailable, quote(path), err)
	}
	parent := filepath.Dir(path)
	if parent == path {
		return path, nil
	}
	resolved, err = resolve(parent)
	return filepath.Join(resolved, filepath.Base(path)), err
}

// mkdirAll is os.MkdirAll with directories for this user alone, under any umask; only the
// elements that it creates itself are so.
func mkdirAll(path string) error {
	err := mkdir(path)
	if errors.Is(err, fs.ErrNotExist) {
		if parent := filepath.Dir(path); parent != path {
			if err := mkdirAll(parent); err != nil {
				return err
			}
			err = mkdir(path)
		}
	}
	if err == nil {
		return openUp(path)
	}
	fi, statErr := os.Stat(path)
	if errors.Is(err, fs.ErrExist) && errors.Is(statErr, fs.ErrNotExist) {
		there, err := os.Lstat(path)
		switch {
		case errors.Is(err, fs.ErrNotExist):
			return err // somebody has removed it just now
		case err == nil && there.IsDir():
			return nil // and another one has made it again
		}
	}
	switch {
	case statErr == nil && fi.IsDir():
		return nil
	case statErr == nil:
		return &fs.PathError{Op: "mkdir", Path: path, Err: errNotDir}
	case errors.Is(err, fs.ErrExist) && !errors.Is(statErr, fs.ErrNotExist):
		return statErr // that it exists is no reason
	}
	return err
}

// inPath makes sure that err tells the whole path: an error that comes from
// an os.Root knows the last element only.
func inPath(err error, path string) error {
	var pathErr *fs.PathError
	if errors.As(err, &pathErr) {
		return &fs.PathError{Op: pathErr.Op, Path: path, Err: pathErr.Err}
	}
	return &fs.PathError{Op: "open", Path: path, Err: err}
}
