//go:build unix

package ownership

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/podlaunch/podlaunch/runtimedir"
)

// nonblock keeps an open from waiting for a FIFO, and package os from asking
// whether a file can be polled: four system calls, and it cannot.
const nonblock = unix.O_NONBLOCK

// tryLock takes the lock that is the file called name below root, or returns
// errBusy. It creates the file.
func tryLock(root *os.Root, name string) (*lock, error) {
	for {
		f, err := openLock(root, name)
		if err != nil {
			return nil, err
		}
		err = flock(f, unix.LOCK_EX|unix.LOCK_NB)
		if err == nil {
			l := &lock{file: f}
			var same bool
			if same, err = l.identify(root, name); same {
				return l, nil
			}
		}
		f.Close()
		switch {
		case errors.Is(err, unix.EWOULDBLOCK):
			return nil, errBusy
		case err != nil:
			return nil, fmt.Errorf("lock %q: %w", filepath.Join(root.Name(), name), err)
		}
		// Somebody has deleted or replaced the file between our open and our
		// lock, and others lock another one: once more.
	}
}

// identify notes which file l is, reports whether it is the one called name, and
// then makes sure that it can be opened by us: a umask with bits of the user's
// would keep everybody from it.
func (l *lock) identify(root *os.Root, name string) (same bool, err error) {
	if l.info, err = l.file.Stat(); err != nil {
		return false, err
	}
	if same, err = l.isAt(root, name); same && l.info.Mode().Perm()&0o600 != 0o600 {
		err = l.file.Chmod(0o600)
	}
	return same && err == nil, err
}

// isLocked reports whether somebody holds the lock that is the file called
// name below root. A file that is not there nobody has locked.
func isLocked(root *os.Root, name string) (bool, error) {
	if _, err := root.Lstat(name); errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	f, err := openLock(root, name)
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
func openLock(root *os.Root, name string) (*os.File, error) {
	f, err := root.OpenFile(name, os.O_RDWR|os.O_CREATE|nonblock, 0o600)
	if err == nil {
		return f, nil
	}
	if fi, statErr := root.Lstat(name); statErr == nil && !fi.Mode().IsRegular() {
		err = notRegular(fi)
	}
	return nil, fmt.Errorf("open the lock %q: %w", filepath.Join(root.Name(), name), err)
}

// checkOwner makes sure that nobody but us, or who may do anything anyway, has
// written the file, whose Stat is fi: what it says would be believed.
func checkOwner(fi fs.FileInfo) error {
	const othersMayWrite = 0o022
	st, ok := fi.Sys().(*syscall.Stat_t)
	switch {
	case !ok || int(st.Uid) != os.Geteuid():
		return fmt.Errorf("%w: it is another user's", runtimedir.ErrInsecure)
	case fi.Mode().Perm()&othersMayWrite != 0:
		return fmt.Errorf("%w: others may write to it (mode %v)", runtimedir.ErrInsecure, fi.Mode())
	}
	return nil
}

func flock(f *os.File, how int) error {
	for {
		if err := unix.Flock(int(f.Fd()), how); !errors.Is(err, unix.EINTR) {
			return err
		}
	}
}

// free releases the lock for all copies of its descriptor, and keeps ours.
func (l *lock) free() {
	// It cannot fail on an open file (flock(2)), and if it did, closing would
	// have to do.
	_ = flock(l.file, unix.LOCK_UN)
}
