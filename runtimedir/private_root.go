//go:build !windows

package runtimedir

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// mkdir makes one directory. openUp gives it its mode under any umask.
func mkdir(path string) error { return os.Mkdir(path, 0o700) }

// makeBelow makes the directory name below base, or accepts the directory that has the
// name. It opens the base, which Lstat returned as there, and works relative to that.
func makeBelow(base string, there fs.FileInfo, name string) error {
	root, err := os.OpenRoot(base)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrUnavailable, err)
	}
	defer root.Close()
	if err := checkBase(root, there); err != nil {
		return err
	}
	return makePodDir(root, name)
}

// openUp gives the directory at path, which was just made, mode 0700. A umask with bits
// of the user's (0777 is the usual test) takes them away, and then the next element could
// not be made. Mostly there is nothing to do. openUp changes the mode relative to the
// directory above: os.Chmod would follow a link that another process put in its place.
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

// checkBase makes sure that only we can add or replace an entry of the base directory
// that root has open. It also makes sure that root is the directory there, which Lstat
// returned: the path's links are resolved, so it is no link itself, unless another
// process put one in its place.
func checkBase(root *os.Root, there fs.FileInfo) error {
	fi, err := root.Stat(".")
	if err != nil {
		return fmt.Errorf("%w: %w", ErrUnavailable, err)
	}
	if !os.SameFile(fi, there) {
		return fmt.Errorf("%w: %s: %w", ErrInsecure, quote(root.Name()), errReplaced)
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

// makePodDir makes the pod's own directory below root, or accepts the directory that is
// there.
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

// mkdirOnce makes the directory name below root, if nothing is there, and returns
// what is there then. The error is fs.ErrNotExist if a process has removed it.
func mkdirOnce(root *os.Root, name string) (fs.FileInfo, error) {
	if err := root.Mkdir(name, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return nil, err
	}
	return root.Lstat(name)
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
