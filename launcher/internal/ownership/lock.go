package ownership

import (
	"errors"
	"io/fs"
	"os"
)

// A lock is an flock(2) lock that is held. It belongs to the open file, not to
// the process: a child that inherits the descriptor holds it as well.
type lock struct{ file *os.File }

// errBusy says that somebody else holds a lock.
var errBusy = errors.New("locked by another")

// unlock releases the lock, for all copies of its descriptor, and closes ours.
func (l *lock) unlock() {
	l.free()
	l.file.Close()
}

// drop closes our copy. The lock stays as long as there is another.
func (l *lock) drop() { l.file.Close() }

// isAt reports whether f is still the file called name.
func isAt(root *os.Root, name string, f *os.File) (bool, error) {
	there, err := root.Lstat(name)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	ours, err := f.Stat()
	return err == nil && os.SameFile(there, ours), err
}
