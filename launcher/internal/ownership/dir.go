package ownership

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"

	"github.com/podlaunch/podlaunch/runtimedir"
)

// openBase opens the base directory, and returns what it is. Its path has no
// symbolic link in it (runtimedir.Baser), and so one that stands in its place is
// refused.
func openBase(path string) (*dir, status, error) {
	base, s, err := openDirectory(path)
	if errors.Is(err, syscall.ELOOP) || errors.Is(err, syscall.ENOTDIR) {
		err = fmt.Errorf("%w: there is no directory: %w; remove what is there", runtimedir.ErrInsecure, err)
	}
	return base, s, err
}

// OpenDir opens the pod's runtime directory, which is at path. A symbolic link in
// its place is refused, even one that comes and goes meanwhile; so is a directory of
// another base than the Claim's, if path is below that as it usually is. The error
// wraps [fs.ErrNotExist] if there is nothing, and [runtimedir.ErrInsecure] if there is
// no directory.
func (c *Claim) OpenDir(path string) (*os.Root, error) {
	in, name := anywhere, path
	if base := c.place.base; filepath.Dir(path) == base.path {
		in, name = base, filepath.Base(path)
	}
	there, err := in.lstat(name)
	if err != nil {
		return nil, err
	}
	return openRoot(path, there)
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
	here, err := root.Stat(".")
	if err == nil && !there.is(here) {
		err = fmt.Errorf("%w: %q was replaced while it was being opened", runtimedir.ErrInsecure, path)
	}
	if err != nil {
		return nil, errors.Join(err, root.Close())
	}
	return root, nil
}

// ErrNotOursAlone says that the base is another user's, or that others may write to
// it. What wraps it wraps [runtimedir.ErrInsecure] too.
var ErrNotOursAlone = errors.New("it is not ours alone")

// checkBase makes sure that nobody but us, or who may do anything anyway, can
// put a file of his own in the place of one of ours.
func (p *Place) checkBase() error {
	if err := p.baseIs.checkOwner(p.euid); err != nil {
		return fmt.Errorf("the base directory %q: %w: %w", p.base.path, ErrNotOursAlone, err)
	}
	return nil
}

// CheckBase makes sure that the base's path still leads to the base in which the
// name was claimed. Its error wraps [runtimedir.ErrInsecure] if it does not.
func (c *Claim) CheckBase() error {
	p := c.place
	there, err := anywhere.lstat(p.base.path)
	if err == nil && !there.same(p.baseIs) {
		err = fmt.Errorf("%w: the base directory %q was replaced", runtimedir.ErrInsecure, p.base.path)
	}
	return err
}
