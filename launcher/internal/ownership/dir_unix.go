//go:build unix

package ownership

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/podlaunch/podlaunch/runtimedir"
)

// A dir is an open directory. What is in it is reached relative to it, by a name
// that is no path, and never through a link.
//
// It is not an os.Root: that asks of everything it opens whether it can be polled,
// which takes as many system calls as all the rest.
type dir struct {
	path string
	fd   int // -1 once it is closed
	at   location
}

// A location is where an open directory is. The same one may be mounted twice, and once only for
// reading; so the mount counts, too.
type location struct {
	mount, dev, ino uint64
	alone           int // 0, or the descriptor, if the mount cannot be told: nobody else has it
}

// directories are those that are open. All who have opened the same one have one descriptor:
// each pod that is not ready yet would have one of its own, and each fork copies and closes
// them all.
var directories struct {
	sync.Mutex
	open map[location]*sharedDirectory
}

type sharedDirectory struct {
	fd    int
	users int
}

// openDirectory opens the directory at path. A symbolic link in its place is
// refused with ELOOP or ENOTDIR (open(2)), as is what is no directory.
func openDirectory(path string) (*dir, status, error) {
	fd, err := openAt(unix.AT_FDCWD, path, unix.O_RDONLY|unix.O_DIRECTORY, 0)
	if err != nil {
		return nil, status{}, &fs.PathError{Op: "open", Path: path, Err: err}
	}
	s, err := statusOf(fd)
	if err != nil {
		unix.Close(fd)
		return nil, status{}, &fs.PathError{Op: "stat", Path: path, Err: err}
	}
	d := &dir{path: path, at: location{dev: s.dev, ino: s.ino}}
	if mount, told := mountOf(fd); told {
		d.at.mount = mount
	} else {
		d.at.alone = fd
	}
	if d.fd = share(d.at, fd); d.fd != fd {
		unix.Close(fd)
	}
	return d, s, nil
}

// ownerOf names whose a file is, if it is another user's; else "".
func ownerOf(fi fs.FileInfo) string {
	st, ok := fi.Sys().(*syscall.Stat_t)
	if !ok || int(st.Uid) == os.Geteuid() {
		return ""
	}
	return fmt.Sprintf("user %d", st.Uid)
}

// share returns the descriptor that everybody uses who has opened the directory at the location:
// fd if there is no other. Its caller calls unshare.
func share(at location, fd int) int {
	directories.Lock()
	defer directories.Unlock()
	if directories.open == nil {
		directories.open = make(map[location]*sharedDirectory)
	}
	d := directories.open[at]
	if d == nil {
		d = &sharedDirectory{fd: fd}
		directories.open[at] = d
	}
	d.users++
	return d.fd
}

// unshare ends a use, and reports whether it was the last one.
func unshare(at location) (last bool) {
	directories.Lock()
	defer directories.Unlock()
	d := directories.open[at]
	if d.users--; d.users > 0 {
		return false
	}
	delete(directories.open, at)
	return true
}

// anywhere is where paths that are absolute begin.
var anywhere = &dir{fd: unix.AT_FDCWD}

func (d *dir) close() {
	if d.fd >= 0 {
		if unshare(d.at) {
			unix.Close(d.fd)
		}
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

// lstatByPath is lstat of what the path of the directory leads to now.
func (d *dir) lstatByPath(name string) (status, error) {
	if !filepath.IsAbs(d.path) { // the working directory may be another by now
		return d.lstat(name)
	}
	var st unix.Stat_t
	err := again(func() error {
		return unix.Fstatat(unix.AT_FDCWD, filepath.Join(d.path, name), &st, unix.AT_SYMLINK_NOFOLLOW)
	})
	if err != nil {
		return status{}, d.failed("lstat", name, err)
	}
	return newStatus(&st), nil
}

// open opens the file called name. If that is a FIFO, opening it for reading and writing
// does not block (fifo(7)).
func (d *dir) open(name string, flags int) (*os.File, error) {
	fd, err := d.openFD(name, flags)
	if err != nil {
		return nil, err
	}
	return os.NewFile(uintptr(fd), filepath.Join(d.path, name)), nil
}

// openFD is open without what package os asks about each file.
func (d *dir) openFD(name string, flags int) (int, error) {
	fd, err := openAt(d.fd, name, flags, 0o600)
	if err != nil {
		return -1, d.failed("open", name, err)
	}
	return fd, nil
}

// read returns what is in the file called name, if it is a regular one of at most
// max bytes, and what it is.
func (d *dir) read(name string, max int64) ([]byte, status, error) {
	fd, err := openAt(d.fd, name, unix.O_RDONLY|unix.O_NONBLOCK, 0) // a FIFO would not open otherwise
	if err != nil {
		return nil, status{}, d.failed("open", name, err)
	}
	defer unix.Close(fd)
	s, err := statusOf(fd)
	if err != nil {
		return nil, s, d.failed("stat", name, err)
	}
	if !s.mode.IsRegular() || s.size > max {
		return nil, s, nil
	}
	data := make([]byte, s.size)
	read := 0
	for read < len(data) {
		var n int
		err := again(func() (err error) { n, err = unix.Read(fd, data[read:]); return err })
		if err != nil {
			return nil, s, d.failed("read", name, err)
		}
		if n == 0 {
			break // it was made shorter
		}
		read += n
	}
	return data[:read], s, nil
}

// An openRecord is the record that we have written.
type openRecord struct {
	in   *dir
	name string
	fd   int
	size int64
	was  status // when isThere looked last
}

// write appends data.
func (r *openRecord) write(data []byte) error {
	for len(data) > 0 {
		var n int
		err := again(func() (err error) { n, err = unix.Write(r.fd, data); return err })
		if err != nil {
			return err
		}
		r.size += int64(n)
		data = data[n:]
	}
	return nil
}

// isThere reports whether the file still has its name, and holds what was written. It
// makes the file its user's alone if the umask did not.
func (r *openRecord) isThere() (bool, error) {
	s, err := statusOf(r.fd)
	if err != nil {
		return false, err
	}
	r.was = s
	return r.holds(s)
}

// isInPlace is isThere for the path of the file: somebody may have moved the base. isThere has
// looked before.
func (r *openRecord) isInPlace() (bool, error) {
	s, err := r.in.lstatByPath(r.name)
	switch {
	case isMissing(err):
		return false, nil
	case err != nil || !s.same(r.was):
		return false, err
	}
	return r.holds(s)
}

func (r *openRecord) holds(s status) (_ bool, err error) {
	if s.mode.Perm() != 0o600 {
		err = unix.Fchmod(r.fd, 0o600)
	}
	return err == nil && s.linked && s.size == r.size, err
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

// rename gives the file called name another name, in place of the file that has it.
func (d *dir) rename(name, to string) error {
	if err := again(func() error { return unix.Renameat(d.fd, name, d.fd, to) }); err != nil {
		return d.failed("rename", name, err)
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

// entriesOf returns what is in the directory at path.
func entriesOf(path string) ([]os.DirEntry, error) { return os.ReadDir(path) }

// A status is what a file is.
type status struct {
	mode     fs.FileMode
	size     int64
	uid      uint32
	dev, ino uint64
	linked   bool // it has a name
}

// same reports whether both are of one file.
func (s status) same(t status) bool { return s.dev == t.dev && s.ino == t.ino }

// isRoot reports whether s is of the directory that root is.
func (s status) isRoot(root *os.Root) (bool, error) {
	here, err := root.Stat(".")
	if err != nil {
		return false, err
	}
	st, ok := here.Sys().(*syscall.Stat_t)
	return ok && s.dev == uint64(st.Dev) && s.ino == st.Ino, nil
}

// checkOwner makes sure that nobody but us, or who may do anything anyway, has
// written the file: what it says would be believed. euid is who we are.
func (s status) checkOwner(euid int) error {
	const othersMayWrite = 0o022
	switch {
	case int(s.uid) != euid:
		return fmt.Errorf("%w (uid %d)", errAnothers, s.uid)
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

		linked: st.Nlink > 0,
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

// isMissing reports whether err says that there is no such file.
func isMissing(err error) bool { return errors.Is(err, fs.ErrNotExist) }

// isNotEmpty reports whether err says that there is something in a directory.
func isNotEmpty(err error) bool { return errors.Is(err, syscall.ENOTEMPTY) }

// sameName reports whether a and b are one name.
func sameName(a, b string) bool { return a == b }

func groupOf() int { return unix.Getpgrp() }

func sessionOf() int {
	session, _ := unix.Getsid(0) // which does not fail for this process
	return session
}

func flock(fd int, how int) error {
	return again(func() error { return unix.Flock(fd, how) })
}

func closeFD(fd int) { unix.Close(fd) }

// unlockFD releases an flock(2) lock for all copies of its descriptor, and keeps ours.
func unlockFD(fd int) {
	// It cannot fail on an open file (flock(2)), and if it did, closing would
	// have to do.
	_ = flock(fd, unix.LOCK_UN)
}
