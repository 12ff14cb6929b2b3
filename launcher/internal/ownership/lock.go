package ownership

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/podlaunch/podlaunch/launcher/internal/osproc"
	"github.com/podlaunch/podlaunch/runtimedir"
)

// A lock is an flock(2) lock that is held. It belongs to the open file, not to
// the process: a child that inherits the descriptor holds it as well.
type lock struct {
	base string // the path of its directory
	name string
	fd   int
	was  status   // the file's, when it was locked
	file *os.File // fd, once asFile was called; nil before
}

// path returns the path of the file.
func (l *lock) path() string { return filepath.Join(l.base, l.name) }

// What the names of the locks, and of the record, end in. Sweep looks for the one of a private pod, so it is not
// that of another pod's lock.
const (
	launchSuffix  = ".launch"
	podSuffix     = osproc.PodLock
	privateSuffix = osproc.PrivateLock
	recordSuffix  = ".json"
)

// LockDescriptor is where a pod has its lock.
const LockDescriptor = 20

// errBusy says that somebody else holds a lock.
var errBusy = errors.New("locked by another")

// asFile returns the locked file, for a child to inherit. It is closed with the lock.
func (l *lock) asFile() *os.File {
	if l.file == nil {
		l.file = os.NewFile(uintptr(l.fd), l.path())
	}
	return l.file
}

// unlock releases the lock, for all copies of its descriptor, and closes ours. Without a
// lock it does nothing.
func (l *lock) unlock() {
	if l == nil {
		return
	}
	unlockFD(l.fd)
	l.drop()
}

// drop closes our copy. The lock stays as long as there is another. Without a lock it
// does nothing.
func (l *lock) drop() {
	if l == nil {
		return
	}
	if l.file != nil {
		l.file.Close()
		return
	}
	closeFD(l.fd)
}

// isAt reports whether l is still the file of its name, as lstat has it.
func (l *lock) isAt(lstat func(name string) (status, error)) (bool, error) {
	there, err := lstat(l.name)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return false, nil
	case err != nil:
		return false, err
	case !there.mode.IsRegular():
		return false, notRegular(there)
	}
	return there.same(l.was), nil
}

// errNotRegular says that something else is where a lock should be.
var errNotRegular = errors.New("it is not a regular file")

func notRegular(s status) error {
	return fmt.Errorf("%w (%v); remove it", errNotRegular, s.mode)
}

// noLock explains the error of opening the lock called name.
func (d *dir) noLock(name string, err error) error {
	there, statErr := d.lstat(name)
	if statErr == nil && !there.mode.IsRegular() {
		err = notRegular(there)
	}
	err = fmt.Errorf("open the lock %q: %w", filepath.Join(d.path, name), err)
	if errors.Is(statErr, fs.ErrNotExist) && !isPassing(err) { // it cannot be made
		err = fmt.Errorf("%w: %w", runtimedir.ErrUnavailable, err)
	}
	return err
}
