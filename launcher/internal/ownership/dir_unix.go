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

// nonblock keeps an open from waiting for the other end of a FIFO.
const nonblock = unix.O_NONBLOCK

// A dir is an open directory. What is in it is reached relative to it, by a name
// that is no path, and never through a link.
//
// It is not an os.Root: that asks of everything it opens whether it can be polled,
// which takes as many system calls as all the rest.
type dir struct {
	path string
	fd   int // -1 once it is closed
}

// openDirectory opens the directory at path. A symbolic link in its place is
// refused with ELOOP or ENOTDIR (open(2)), as is what is no directory.
func openDirectory(path string) (*dir, status, error) {
	fd, err := openAt(unix.AT_FDCWD, path, unix.O_RDONLY|unix.O_DIRECTORY, 0)
	if err != nil {
		return nil, status{}, &fs.PathError{Op: "open", Path: path, Err: err}
	}
	d := &dir{path: path, fd: fd}
	s, err := statusOf(fd)
	if err != nil {
		d.close()
		return nil, status{}, &fs.PathError{Op: "stat", Path: path, Err: err}
	}
	return d, s, nil
}

// anywhere is where paths that are absolute begin.
var anywhere = &dir{fd: unix.AT_FDCWD}

func (d *dir) close() {
	if d.fd >= 0 {
		unix.Close(d.fd)
		d.fd = -1
	}
}

// lstat tells what name is.
func (d *dir) lstat(name string) (status, error) {
	var st unix.Stat_t
	err := again(func() error { return unix.Fstatat(d.fd, name, &st, unix.AT_SYMLINK_NOFOLLOW) })
	if err != nil {
		return status{}, d.failed("lstat", name, err)
	}
	return newStatus(&st), nil
}

// open opens the file called name. One that is opened for reading and writing does
// not keep the caller waiting if it is a FIFO (fifo(7)); for others see [nonblock].
func (d *dir) open(name string, flags int) (*os.File, error) {
	fd, err := openAt(d.fd, name, flags, 0o600)
	if err != nil {
		return nil, d.failed("open", name, err)
	}
	return os.NewFile(uintptr(fd), filepath.Join(d.path, name)), nil
}

// add appends data to the file called name, or returns errNotWritten if it is not
// the one that is meant, of the same size: a new file may get the inode of one that
// was deleted.
func (d *dir) add(name string, meant status, data []byte, may func() error) error {
	fd, err := openAt(d.fd, name, unix.O_WRONLY|unix.O_APPEND|nonblock, 0)
	if err != nil {
		return d.failed("open", name, err)
	}
	defer unix.Close(fd)
	if there, err := statusOf(fd); err != nil || !there.same(meant) || there.size != meant.size {
		return errors.Join(errNotWritten, err)
	}
	if err := may(); err != nil {
		return err
	}
	for len(data) > 0 && err == nil {
		n := 0
		err = again(func() error { n, err = unix.Write(fd, data); return err })
		data = data[max(n, 0):]
	}
	if err != nil {
		return d.failed("write", name, err)
	}
	return nil
}

// remove deletes the file, or empty directory, called name, if it is there.
func (d *dir) remove(name string) error {
	err := again(func() error { return unix.Unlinkat(d.fd, name, 0) })
	if err == unix.EISDIR || err == unix.EPERM { // the latter by POSIX, for a directory
		if dirErr := again(func() error { return unix.Unlinkat(d.fd, name, unix.AT_REMOVEDIR) }); dirErr != unix.ENOTDIR {
			err = dirErr
		}
	}
	if err != nil && err != unix.ENOENT {
		return d.failed("remove", name, err)
	}
	return nil
}

func (d *dir) failed(op, name string, err error) error {
	return &fs.PathError{Op: op, Path: filepath.Join(d.path, name), Err: err}
}

func openAt(dir int, name string, flags int, perm uint32) (fd int, err error) {
	err = again(func() error {
		fd, err = unix.Openat(dir, name, flags|unix.O_NOFOLLOW|unix.O_CLOEXEC, perm)
		return err
	})
	return fd, err
}

// again calls f until no signal interrupts it.
func again(f func() error) error {
	for {
		if err := f(); !errors.Is(err, unix.EINTR) {
			return err
		}
	}
}

// A status is what a file is.
type status struct {
	mode     fs.FileMode
	size     int64
	uid      uint32
	dev, ino uint64
}

// same reports whether both are of one file.
func (s status) same(t status) bool { return s.dev == t.dev && s.ino == t.ino }

// is reports whether s is of the file that package os describes.
func (s status) is(fi fs.FileInfo) bool {
	st, ok := fi.Sys().(*syscall.Stat_t)
	return ok && s.dev == uint64(st.Dev) && s.ino == st.Ino
}

// checkOwner makes sure that nobody but us, or who may do anything anyway, has
// written the file: what it says would be believed.
func (s status) checkOwner() error {
	const othersMayWrite = 0o022
	switch {
	case int(s.uid) != os.Geteuid():
		return fmt.Errorf("%w: it is another user's", runtimedir.ErrInsecure)
	case s.mode.Perm()&othersMayWrite != 0:
		return fmt.Errorf("%w: others may write to it (mode %v)", runtimedir.ErrInsecure, s.mode)
	}
	return nil
}

func fileStatus(f *os.File) (status, error) {
	s, err := statusOf(int(f.Fd()))
	if err != nil {
		err = &fs.PathError{Op: "stat", Path: f.Name(), Err: err}
	}
	return s, err
}

func statusOf(fd int) (status, error) {
	var st unix.Stat_t
	if err := again(func() error { return unix.Fstat(fd, &st) }); err != nil {
		return status{}, err
	}
	return newStatus(&st), nil
}

func newStatus(st *unix.Stat_t) status {
	s := status{
		mode: fs.FileMode(st.Mode & 0o777),
		size: st.Size,
		uid:  st.Uid,
		dev:  uint64(st.Dev), // of another type on each system
		ino:  st.Ino,
	}
	switch st.Mode & unix.S_IFMT {
	case unix.S_IFREG:
	case unix.S_IFDIR:
		s.mode |= fs.ModeDir
	case unix.S_IFLNK:
		s.mode |= fs.ModeSymlink
	case unix.S_IFIFO:
		s.mode |= fs.ModeNamedPipe
	case unix.S_IFSOCK:
		s.mode |= fs.ModeSocket
	default:
		s.mode |= fs.ModeDevice
	}
	if st.Mode&unix.S_ISVTX != 0 {
		s.mode |= fs.ModeSticky
	}
	return s
}
