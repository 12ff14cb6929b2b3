package ownership

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"

	"github.com/podlaunch/podlaunch/runtimedir"
)

// openBase opens the base directory, and returns what it is. Its path has no
// symbolic link in it (runtimedir.Baser), and so one that stands in its place is
// refused.
func openBase(base string) (*os.Root, fs.FileInfo, error) {
	return openDir(base, os.Lstat, os.OpenRoot)
}

// OpenDir opens the pod's runtime directory, which is at path: relative to the
// base, if it is below it as it usually is. A symbolic link in its place is
// refused, even one that comes and goes meanwhile. The error wraps
// [fs.ErrNotExist] if there is nothing, and [runtimedir.ErrInsecure] if there is
// no directory.
func (c *Claim) OpenDir(path string) (*os.Root, error) {
	base := c.place.root
	if filepath.Dir(path) == base.Name() {
		root, _, err := openDir(filepath.Base(path), base.Lstat, base.OpenRoot)
		return root, err
	}
	root, _, err := openDir(path, os.Lstat, os.OpenRoot)
	return root, err
}

// openDir opens the directory name. What it looks at first is what it has to
// have open in the end: open may follow links, and a FIFO would hold it up.
func openDir(name string, lstat func(string) (fs.FileInfo, error), open func(string) (*os.Root, error)) (*os.Root, fs.FileInfo, error) {
	there, err := lstat(name)
	if err != nil {
		return nil, nil, err
	}
	if !there.IsDir() {
		return nil, nil, fmt.Errorf("%w: %q is not a directory (%v); remove it", runtimedir.ErrInsecure, name, there.Mode())
	}
	root, err := open(name)
	if err != nil {
		// Where there is a link by now, the error is the system's, or one of
		// package os that says that it leads out.
		var errno syscall.Errno
		if !errors.As(err, &errno) || errno == syscall.ELOOP || errno == syscall.ENOTDIR {
			err = fmt.Errorf("%w: %q was replaced while it was being opened: %w", runtimedir.ErrInsecure, name, err)
		}
		return nil, nil, err
	}
	here, err := root.Stat(".")
	if err == nil && !os.SameFile(there, here) {
		err = fmt.Errorf("%w: %q was replaced while it was being opened", runtimedir.ErrInsecure, name)
	}
	if err != nil {
		return nil, nil, errors.Join(err, root.Close())
	}
	return root, here, nil
}

// checkBase makes sure that nobody but us, or who may do anything anyway, can
// put a file of his own in the place of one of ours.
func (p *Place) checkBase() error {
	if err := checkOwner(p.base); err != nil {
		return fmt.Errorf("the base directory %q: %w", p.root.Name(), err)
	}
	return nil
}
