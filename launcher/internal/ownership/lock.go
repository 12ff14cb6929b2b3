package ownership

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
)

// A lock is an flock(2) lock that is held. It belongs to the open file, not to
// the process: a child that inherits the descriptor holds it as well.
type lock struct {
	file *os.File
	info fs.FileInfo // of file, when it was locked
}

// errBusy says that somebody else holds a lock.
var errBusy = errors.New("locked by another")

// unlock releases the lock, for all copies of its descriptor, and closes ours.
func (l *lock) unlock() {
	l.free()
	l.file.Close()
}

// drop closes our copy. The lock stays as long as there is another.
func (l *lock) drop() { l.file.Close() }

// isAt reports whether l is still the file called name.
func (l *lock) isAt(root *os.Root, name string) (bool, error) {
	there, err := root.Lstat(name)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return false, nil
	case err != nil:
		return false, err
	case !there.Mode().IsRegular():
		return false, notRegular(there)
	}
	return os.SameFile(there, l.info), nil
}

// errNotRegular says that something else is where a lock should be.
var errNotRegular = errors.New("it is not a regular file")

func notRegular(fi fs.FileInfo) error {
	return fmt.Errorf("%w (%v); remove it", errNotRegular, fi.Mode())
}
