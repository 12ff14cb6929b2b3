//go:build unix

package ownership

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"

	"github.com/podlaunch/podlaunch/runtimedir"
)

// tryLock takes the lock that is the file called name in base, or returns
// errBusy. It creates the file.
func tryLock(base *dir, name string) (*lock, error) {
	for {
		f, err := openLock(base, name)
		if err != nil {
			return nil, err
		}
		err = flock(f, unix.LOCK_EX|unix.LOCK_NB)
		if err == nil {
			l := &lock{file: f}
			var same bool
			if same, err = l.identify(base, name); same {
				return l, nil
			}
		}
		f.Close()
		switch {
		case errors.Is(err, unix.EWOULDBLOCK):
			return nil, errBusy
		case err != nil:
			return nil, fmt.Errorf("lock %q: %w", filepath.Join(base.path, name), err)
		}
		// Somebody has deleted or replaced the file between our open and our
		// lock, and others lock another one: once more.
	}
}

// identify notes which file l is, reports whether it is the one called name, and
// then makes sure that it can be opened by us: a umask with bits of the user's
// would keep everybody from it.
func (l *lock) identify(base *dir, name string) (same bool, err error) {
	if l.was, err = fileStatus(l.file); err != nil {
		return false, err
	}
	if same, err = l.isAt(base, name); same && l.was.mode.Perm()&0o600 != 0o600 {
		err = l.file.Chmod(0o600)
	}
	return same && err == nil, err
}

// isLocked reports whether somebody holds the lock that is the file called
// name in base. A file that is not there nobody has locked.
func isLocked(base *dir, name string) (bool, error) {
	if _, err := base.lstat(name); errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	f, err := openLock(base, name)
	if err != nil {
		return false, err
	}
	l := &lock{file: f}
	defer l.unlock()
	// A shared lock, for two who ask at once are not to see each other.
	err = flock(f, unix.LOCK_SH|unix.LOCK_NB)
	if errors.Is(err, unix.EWOULDBLOCK) {
		return true, nil
	}
	return false, err
}

// openLock opens a lock file without waiting for a FIFO.
func openLock(base *dir, name string) (*os.File, error) {
	f, err := base.open(name, os.O_RDWR|os.O_CREATE)
	if err == nil {
		return f, nil
	}
	there, statErr := base.lstat(name)
	if statErr == nil && !there.mode.IsRegular() {
		err = notRegular(there)
	}
	err = fmt.Errorf("open the lock %q: %w", filepath.Join(base.path, name), err)
	if errors.Is(statErr, fs.ErrNotExist) { // it cannot be made
		err = fmt.Errorf("%w: %w", runtimedir.ErrUnavailable, err)
	}
	return nil, err
}

func flock(f *os.File, how int) error {
	return again(func() error { return unix.Flock(int(f.Fd()), how) })
}

// free releases the lock for all copies of its descriptor, and keeps ours.
func (l *lock) free() {
	// It cannot fail on an open file (flock(2)), and if it did, closing would
	// have to do.
	_ = flock(l.file, unix.LOCK_UN)
}
