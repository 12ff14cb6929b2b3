package logsource

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"strconv"

	"golang.org/x/sys/unix"
)

// canFree says that the beginning of a file can be freed here.
const canFree = true

// duplicate returns another descriptor of what is open as file.
func duplicate(file *os.File) (*os.File, error) {
	fd, err := unix.FcntlInt(file.Fd(), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		return nil, &fs.PathError{Op: "dup", Path: file.Name(), Err: err}
	}
	return os.NewFile(uintptr(fd), file.Name()), nil
}

// reopenForWriting opens what is open as file for writing.
func reopenForWriting(file *os.File) (*os.File, error) {
	return os.OpenFile("/proc/self/fd/"+strconv.Itoa(int(file.Fd())), os.O_WRONLY, 0)
}

// punch frees the first n bytes of file. The file's size and every offset stay
// (fallocate(2)).
func punch(file *os.File, n int64) error {
	err := control(file, func(fd int) error {
		return again(func() error {
			return unix.Fallocate(fd, unix.FALLOC_FL_PUNCH_HOLE|unix.FALLOC_FL_KEEP_SIZE, 0, n)
		})
	})
	if err != nil {
		return &fs.PathError{Op: "fallocate", Path: file.Name(), Err: err}
	}
	return nil
}

// findHole returns how many of the n bytes at offset come before the first hole, or n if
// there is no hole. If that is 0, next is where the hole ends. findHole moves the
// descriptor's offset, which no reader uses.
func findHole(file *os.File, offset, n int64) (data, next int64, err error) {
	err = control(file, func(fd int) (err error) {
		data, next, err = seekHole(fd, offset, n)
		return err
	})
	if err != nil {
		return 0, 0, &fs.PathError{Op: "seek", Path: file.Name(), Err: err}
	}
	return data, next, nil
}

// control calls f with file's descriptor, which stays open meanwhile.
func control(file *os.File, f func(fd int) error) error {
	conn, err := file.SyscallConn()
	if err != nil {
		return err
	}
	if controlErr := conn.Control(func(fd uintptr) { err = f(int(fd)) }); controlErr != nil {
		return controlErr
	}
	return err
}

// seekHole is findHole.
func seekHole(fd int, offset, n int64) (data, next int64, err error) {
	// Before the search: what is written meanwhile is no hole.
	size, err := unix.Seek(fd, 0, io.SeekEnd)
	if err != nil {
		return 0, 0, err
	}
	hole, err := unix.Seek(fd, offset, unix.SEEK_HOLE)
	switch {
	case err != nil: // there are no holes on this filesystem, or the file was truncated
		return n, 0, nil
	case hole > offset:
		return min(n, hole-offset), 0, nil
	}
	next, err = unix.Seek(fd, offset, unix.SEEK_DATA)
	if errors.Is(err, unix.ENXIO) { // to its end
		return 0, size, nil
	}
	return 0, next, err
}
