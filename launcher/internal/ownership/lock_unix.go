//go:build unix

package ownership

import (
	"errors"
	"fmt"
	"io/fs"
	"os"

	"golang.org/x/sys/unix"
)

// unlockFreesCopies says that lock.unlock also takes the lock away from a process that has a
// copy of the descriptor (flock(2)).
const unlockFreesCopies = true

// tryLock takes the lock that is the file called name in base, or returns
// errBusy. It creates the file. A file that was deleted meanwhile is not it; whether one
// was renamed is only asked if exact.
func tryLock(base *dir, name string, exact bool) (*lock, error) {
	for {
		fd, err := openLock(base, name)
		if err != nil {
			return nil, err
		}
		l := &lock{base: base.path, name: name, fd: fd}
		err = flock(fd, unix.LOCK_EX|unix.LOCK_NB)
		if err == nil {
			var same bool
			if same, err = l.identify(base, exact); same {
				return l, nil
			}
		}
		l.drop()
		switch {
		case errors.Is(err, unix.EWOULDBLOCK):
			return nil, errBusy
		case err != nil:
			return nil, fmt.Errorf("lock %q: %w", l.path(), err)
		}
		// Somebody has deleted or replaced the file between our open and our
		// lock, and others lock another one: once more.
	}
}

// identify notes which file l is, reports whether it is the one called name, and
// then makes sure that it can be opened by us: a umask with bits of the user's
// would keep everybody from it.
func (l *lock) identify(base *dir, exact bool) (same bool, err error) {
	if l.was, err = statusOf(l.fd); err != nil {
		return false, err
	}
	if same = l.was.linked; !l.was.mode.IsRegular() {
		return false, notRegular(l.was)
	}
	if same && exact {
		same, err = l.isAt(base.lstat)
	}
	if same && l.was.mode.Perm()&0o600 != 0o600 {
		err = unix.Fchmod(l.fd, 0o600)
	}
	return same && err == nil, err
}

// isLocked reports whether somebody holds the lock that is the file called
// name in base. A file that is not there nobody has locked.
func isLocked(base *dir, name string) (bool, error) {
	fd, err := openToLock(base, name, 0)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, base.noLock(name, err)
	}
	l := &lock{fd: fd}
	defer l.unlock()
	// A shared lock, for two who ask at once are not to see each other.
	err = flock(fd, unix.LOCK_SH|unix.LOCK_NB)
	if errors.Is(err, unix.EWOULDBLOCK) {
		return true, nil
	}
	return false, err
}

// openLock opens a lock file without waiting for a FIFO.
func openLock(base *dir, name string) (int, error) {
	fd, err := openToLock(base, name, os.O_CREATE)
	if err != nil {
		return -1, base.noLock(name, err)
	}
	return fd, nil
}

// openToLock opens a file for flock(2), which needs no right to write, except on NFS. A
// filesystem may have become read-only, after an error of its disk, and the pods there run.
func openToLock(base *dir, name string, flags int) (int, error) {
	fd, err := openAt(base.fd, name, os.O_RDWR|flags, 0o600)
	if errors.Is(err, unix.EROFS) {
		if fd, readErr := openAt(base.fd, name, os.O_RDONLY|unix.O_NONBLOCK, 0); readErr == nil {
			return fd, nil
		}
	}
	return fd, err
}
