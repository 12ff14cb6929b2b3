package ownership

import (
	"errors"
	"os"
	"path/filepath"

	"golang.org/x/sys/windows"
)

// looseAfterRename says that it is asked for the exact name of a lock in any case.
const looseAfterRename = false

// ownMode is the mode that package os makes up for a file that is not read-only.
const ownMode = 0o666

// renameOnto puts the file at path in the place of the one at onto, which may be open:
// Windows does not rename onto such a file on every file system.
func renameOnto(path, onto string) error {
	base, _, err := openDirectory(filepath.Dir(onto))
	if err != nil {
		return err
	}
	defer base.close()
	return errors.Join(base.remove(filepath.Base(onto)), os.Rename(path, onto))
}

// noFiles make at a path what is no regular file.
var noFiles = []func(path string) error{
	func(path string) error { return os.Mkdir(path, 0o700) },
}

// lockFD locks an open file as a launcher does, or as one does who only asks.
func lockFD(fd int, shared bool) error {
	if shared {
		return lockByte(fd, 0)
	}
	return lockByte(fd, windows.LOCKFILE_EXCLUSIVE_LOCK)
}
