//go:build unix

package logsource

import (
	"errors"
	"io/fs"
	"os"
	"syscall"
)

// openNoFollow opens the file at path for reading, unless it is a symbolic link. It
// does not wait for the other end of a FIFO.
//
// It is not os.OpenFile: that hands what is opened with O_NONBLOCK to the runtime's
// poller, and kqueue(2) would then wake the program at each write to the log.
func openNoFollow(path string) (*os.File, error) {
	const flags = syscall.O_RDONLY | syscall.O_NOFOLLOW | syscall.O_NONBLOCK | syscall.O_CLOEXEC
	fd, err := syscall.Open(path, flags, 0)
	for errors.Is(err, syscall.EINTR) {
		fd, err = syscall.Open(path, flags, 0)
	}
	if err != nil {
		return nil, &fs.PathError{Op: "open", Path: path, Err: err}
	}
	if err := syscall.SetNonblock(fd, false); err != nil {
		syscall.Close(fd)
		return nil, &fs.PathError{Op: "fcntl", Path: path, Err: err}
	}
	return os.NewFile(uintptr(fd), path), nil
}
