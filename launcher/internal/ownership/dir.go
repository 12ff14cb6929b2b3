package ownership

import (
	"errors"
	"fmt"
	"os"
	"syscall"

	"github.com/podlaunch/podlaunch/runtimedir"
)

// openBase opens the base directory, and returns its status. The path of a base has no
// symbolic link in it (runtimedir.Baser), so openBase refuses a link in its place.
func openBase(path string) (*dir, status, error) {
	base, s, err := openDirectory(path)
	if errors.Is(err, syscall.ELOOP) || errors.Is(err, syscall.ENOTDIR) {
		err = fmt.Errorf("%w: there is no directory: %w; remove what is there", runtimedir.ErrInsecure, err)
	}
	if errors.Is(err, syscall.EACCES) {
		if fi, lstatErr := os.Lstat(path); lstatErr == nil && ownerOf(fi) != "" {
			err = fmt.Errorf("%w: the base directory is that of %s: %w", runtimedir.ErrInsecure, ownerOf(fi), err)
		}
	}
	return base, s, err
}

// openRoot opens the directory at path, which must be there, what lstat has found:
// opening may follow links, and a FIFO would hold it up.
func openRoot(path string, there status) (*os.Root, error) {
	if !there.mode.IsDir() {
		return nil, fmt.Errorf("%w: %q is not a directory (%v); remove it", runtimedir.ErrInsecure, path, there.mode)
	}
	root, err := os.OpenRoot(path)
	if err != nil {
		// Where there is no directory any more the error is the system's, or one of
		// package os that does not say so.
		var errno syscall.Errno
		if !errors.As(err, &errno) || errno == syscall.ELOOP || errno == syscall.ENOTDIR {
			err = fmt.Errorf("%w: %q was replaced while it was being opened: %w", runtimedir.ErrInsecure, path, err)
		}
		return nil, err
	}
	same, err := there.isRoot(root)
	if err == nil && !same {
		err = fmt.Errorf("%w: %q was replaced while it was being opened", runtimedir.ErrInsecure, path)
	}
	if err != nil {
		return nil, errors.Join(err, root.Close())
	}
	return root, nil
}
