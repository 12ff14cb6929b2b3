package runtimedir

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// makePrivate makes the directory name below base, with mode 0700, and
// returns its path. Both must be valid already, base by resolve.
//
// Everything happens relative to the base directory, which is opened once:
// what is checked is what is used. One race remains and is out of scope: a
// process of the same user may replace the directory afterwards, as it may do
// anything else to us.
func makePrivate(ctx context.Context, base, name string) (string, error) {
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
	root, err := os.OpenRoot(base)
	if err != nil {
		return "", fmt.Errorf("%w: %w", ErrUnavailable, err)
	}
	defer root.Close()
	if err := checkBase(root, there); err != nil {
		return "", err
	}
	path := filepath.Join(base, name)
	if err := makePodDir(root, name); err != nil {
		if !errors.Is(err, ErrInsecure) {
			return "", fmt.Errorf("%w: %w", ErrUnavailable, inPath(err, path))
		}
		return "", err
	}
	return path, nil
}

// resolve returns the absolute path with its symbolic links resolved once, so
// that what is said of it is said of one place, whatever becomes of the links.
// Elements that do not exist yet are kept as they are.
func resolve(path string) (string, error) {
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

// mkdirAll is os.MkdirAll with mode 0700 whatever the umask; only the
// elements that it creates itself get that mode.
func mkdirAll(path string) error {
	err := os.Mkdir(path, 0o700)
	if errors.Is(err, fs.ErrNotExist) {
		if parent := filepath.Dir(path); parent != path {
			if err := mkdirAll(parent); err != nil {
				return err
			}
			err = os.Mkdir(path, 0o700)
		}
	}
	if err == nil {
		return openUp(path)
	}
	fi, statErr := os.Stat(path)
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

// openUp gives the directory at path, which was just made, mode 0700: a umask
// with bits of the user's (0777 is the usual test) has taken them away, and the
// next element could not be made. Mostly there is nothing to do. The mode is
// changed relative to the directory above: os.Chmod would follow a link that
// somebody has put in its place.
func openUp(path string) error {
	fi, err := os.Lstat(path)
	switch {
	case err != nil || fi.Mode() == fs.ModeDir|0o700 || !modeMatters:
		return err
	case !fi.IsDir(): // somebody has taken it away
		return &fs.PathError{Op: "mkdir", Path: path, Err: errNotDir}
	}
	parent, err := os.OpenRoot(filepath.Dir(path))
	if err != nil {
		return err
	}
	defer parent.Close()
	return parent.Chmod(filepath.Base(path), 0o700)
}

// checkBase makes sure that nobody but us can add or replace an entry of the
// base directory that root has open, and that it is there, where its Lstat has
// been: its links are resolved, so it is none itself, unless somebody has put one
// in its place.
func checkBase(root *os.Root, there fs.FileInfo) error {
	fi, err := root.Stat(".")
	if err != nil {
		return fmt.Errorf("%w: %w", ErrUnavailable, err)
	}
	if !os.SameFile(fi, there) {
		return fmt.Errorf("%w: %s was replaced while it was being opened", ErrInsecure, quote(root.Name()))
	}
	if err := checkOwner(root.Name(), fi); err != nil {
		return err
	}
	const othersMayWrite = 0o022
	perm := fi.Mode().Perm()
	if perm&othersMayWrite == 0 || !modeMatters {
		return nil
	}
	if fi.Mode()&fs.ModeSticky != 0 {
		// A directory like /tmp belongs to root and is shared on purpose: as
		// root we must not close it to everybody else.
		return fmt.Errorf("%w: %s is shared with other users (mode %v); use a directory below it", ErrInsecure, quote(root.Name()), fi.Mode())
	}
	const special = fs.ModeSetuid | fs.ModeSetgid
	if err := root.Chmod(".", fi.Mode()&special|perm&^othersMayWrite); err != nil {
		return fmt.Errorf("%w: others may write to %s (mode %v), and that could not be changed: %w", ErrInsecure, quote(root.Name()), fi.Mode(), err)
	}
	return nil
}

// makePodDir makes the pod's own directory below root, or accepts the one that
// is there.
func makePodDir(root *os.Root, name string) error {
	fi, err := mkdirOnce(root, name)
	// The pod that had the name before may remove it now.
	for tries := 1; errors.Is(err, fs.ErrNotExist) && tries < mkdirTries; tries++ {
		fi, err = mkdirOnce(root, name)
	}
	if err != nil {
		return err
	}
	path := filepath.Join(root.Name(), name)
	switch {
	case fi.Mode()&fs.ModeSymlink != 0:
		return fmt.Errorf("%w: %s is a symbolic link; remove it", ErrInsecure, quote(path))
	case !fi.IsDir():
		return fmt.Errorf("%w: %s is not a directory but a %s; remove it", ErrInsecure, quote(path), kind(fi.Mode()))
	}
	if err := checkOwner(path, fi); err != nil {
		return err
	}
	if fi.Mode().Perm() == 0o700 || !modeMatters {
		return nil
	}
	return root.Chmod(name, 0o700)
}

// mkdirTries is how often a directory is made that somebody removes at once. A pod
// removes its own once, or its helpers do; more is somebody's loop.
const mkdirTries = 100

// mkdirOnce makes the directory name below root, if nothing is there, and returns
// what is there then. The error is fs.ErrNotExist if somebody has removed it.
func mkdirOnce(root *os.Root, name string) (fs.FileInfo, error) {
	if err := root.Mkdir(name, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return nil, err
	}
	return root.Lstat(name)
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

// kind names a file's type for a person.
func kind(m fs.FileMode) string {
	switch {
	case m.IsRegular():
		return "file"
	case m&fs.ModeNamedPipe != 0:
		return "FIFO"
	case m&fs.ModeSocket != 0:
		return "socket"
	case m&fs.ModeDevice != 0:
		return "device"
	}
	return "special file (" + m.String() + ")"
}
