package ownership

import (
	"fmt"
	"os"
	"path/filepath"

	"github.com/podlaunch/podlaunch/runtimedir"
)

// OpenDir opens the pod's runtime directory, which is at path. It refuses a symbolic link
// in its place, even a link that comes and goes meanwhile. If path is below the Claim's
// base, as it usually is, OpenDir refuses a directory of any other base. The error wraps
// [fs.ErrNotExist] if there is nothing at path, and [runtimedir.ErrInsecure] if there is
// something other than a directory.
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
