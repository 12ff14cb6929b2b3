package ownership

import (
	"errors"
	"fmt"
	"strings"

	"golang.org/x/sys/windows"
)

// Windows has no lock that passes to a child, as that of flock(2) does. So the two locks are
// made in two ways, by their names.
//
// The launch lock is a lock of LockFileEx on one byte far past the end of its file. It belongs
// to this process and its handle, and ends with either.
//
// The pod lock, and that of a private pod, is the open file: it is open for writing, and no
// other may open it for writing (its share mode lacks FILE_SHARE_WRITE). It is locked as long
// as any process has a copy of the handle: the pod, and what inherits the handle from it. A
// share mode of zero would do as well. But then a backup or a virus scanner, which only reads
// and shares everything, would look like a holder, and nobody could read the note in the lock
// of a private pod.
//
// The handle is not open to inherit. Who starts the pod has a copy of it that is, for the moment
// of the start, and names that one in the list of handles (PROC_THREAD_ATTRIBUTE_HANDLE_LIST).
// C code that creates a process in this moment, and has it inherit all handles without a list,
// gives it the lock as well.
//
// The file shares its deletion, for Claim.Remove deletes it. Somebody who deletes it meanwhile
// does what he does on Linux: the record and the other lock remain.
//
// What remains of a race: isLocked opens the file as a taker does, and so a taker finds it
// locked that comes just then, or whom a program is before that opens the file for writing.
// A file's share modes are symmetric: a question that notices the holder disturbs the taker.
// Each taker asks again for a while (Place.Claim, Place.Private, Claim.confirmAlone), and two questions
// at once do not see each other. A taker whose time is up at its first look gets a HeldError,
// as on Linux.

// unlockFreesCopies says that lock.unlock does not take the lock away from a process that has a
// copy of the handle.
const unlockFreesCopies = false

// tryLock takes the lock that is the file called name in base, or returns
// errBusy. It creates the file. A file that was deleted or renamed meanwhile is not it.
func tryLock(base *dir, name string, _ bool) (*lock, error) {
	for {
		fd, err := openLock(base, name)
		if err != nil {
			return nil, err
		}
		l := &lock{base: base.path, name: name, fd: fd}
		if isLaunchLock(name) {
			err = lockByte(fd, windows.LOCKFILE_EXCLUSIVE_LOCK)
		}
		if err == nil {
			var same bool
			if same, err = l.identify(base, true); same {
				return l, nil
			}
		}
		l.drop()
		switch {
		case errors.Is(err, windows.ERROR_LOCK_VIOLATION):
			return nil, errBusy
		case err != nil:
			return nil, fmt.Errorf("lock %q: %w", l.path(), err)
		}
		// Somebody has deleted or replaced the file between our open and our
		// lock, and others lock another one: once more.
	}
}

func isLaunchLock(name string) bool { return strings.HasSuffix(name, launchSuffix) }

// identify notes which file l is, and reports whether it is the one called name. It asks for
// the name in any case: Wine 8 does not tell by a handle that a file is to be removed.
func (l *lock) identify(base *dir, _ bool) (same bool, err error) {
	if l.was, err = statusOf(l.fd); err != nil {
		return false, err
	}
	if same = l.was.linked; !l.was.mode.IsRegular() {
		return false, notRegular(l.was)
	}
	if same {
		same, err = l.isAt(base.lstat)
	}
	return same, err
}

// isLocked reports whether somebody holds the lock that is the file called
// name in base. A file that is not there nobody has locked.
func isLocked(base *dir, name string) (bool, error) {
	access := uint32(windows.FILE_GENERIC_READ) // for LockFileEx
	if !isLaunchLock(name) {
		access = windows.FILE_GENERIC_WRITE
	}
	fd, err := openNT(base.fd, name, access, shareAll, windows.FILE_OPEN, windows.FILE_NON_DIRECTORY_FILE)
	switch {
	case isBusy(err):
		return true, nil
	case isGone(err):
		return false, nil
	case err != nil:
		return false, base.noLock(name, toErrno(err))
	}
	l := &lock{fd: fd}
	defer l.unlock()
	if !isLaunchLock(name) {
		return false, nil
	}
	// A shared lock, for two who ask at once are not to see each other.
	err = lockByte(fd, 0)
	if errors.Is(err, windows.ERROR_LOCK_VIOLATION) {
		return true, nil
	}
	return false, err
}

// isBusy reports whether err of openNT says that somebody holds a pod lock. If the lock's
// file was deleted, and its name stays until the last handle is closed, somebody holds it, too.
func isBusy(err error) bool {
	return errors.Is(err, windows.STATUS_SHARING_VIOLATION) || errors.Is(err, windows.STATUS_DELETE_PENDING)
}

// openLock opens a lock file. Of a pod lock that is all: the error is errBusy if another has
// it open.
func openLock(base *dir, name string) (int, error) {
	var share uint32 = windows.FILE_SHARE_READ | windows.FILE_SHARE_DELETE
	if isLaunchLock(name) {
		share = shareAll
	}
	fd, err := openNT(base.fd, name, windows.FILE_GENERIC_WRITE|mayLook, share, windows.FILE_OPEN_IF, windows.FILE_NON_DIRECTORY_FILE)
	switch {
	case isBusy(err):
		return -1, errBusy
	case err != nil:
		return -1, base.noLock(name, toErrno(err))
	}
	return fd, nil
}
