//go:build unix

package ownership

import (
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// looseAfterRename says that a lock whose file was renamed is one, if nobody asks for exactly
// its name.
const looseAfterRename = true

// ownMode is the mode of a file that is its user's alone.
const ownMode = 0o600

// renameOnto puts the file at path in the place of the one at onto.
func renameOnto(path, onto string) error { return os.Rename(path, onto) }

// noFiles make at a path what is no regular file.
var noFiles = []func(path string) error{
	func(path string) error { return os.Mkdir(path, 0o700) },
	func(path string) error { return os.Symlink("/dev/zero", path) },
	func(path string) error { return unix.Mkfifo(path, 0o600) }, // which is not waited for
}

// lockFD locks an open file as a launcher does, or as one does who only asks.
func lockFD(fd int, shared bool) error {
	if shared {
		return flock(fd, syscall.LOCK_SH)
	}
	return flock(fd, syscall.LOCK_EX)
}
