//go:build unix

package ownership

import (
	"errors"
	"syscall"
)

// removeAll removes name and all that is in it. Links are not followed. is says which
// directory d is.
func (d *dir) removeAll(name string, is status) error {
	root, err := openRoot(d.path, is)
	if err != nil {
		return err
	}
	return errors.Join(root.RemoveAll(name), root.Close())
}

// removeSelf removes the directory, if nothing is in it.
func (d *dir) removeSelf() {
	_ = syscall.Rmdir(d.path) // others may be in there, or have removed it
}
