package logsource

import (
	"errors"
	"io/fs"
	"os"

	"golang.org/x/sys/unix"
)

// statPath returns what is in the FileID of the file to which path leads.
func statPath(path string) (dev, ino uint64, born int64, err error) {
	return stat(unix.AT_FDCWD, path, path, 0)
}

// statOpen returns what is in the FileID of file.
func statOpen(file *os.File) (dev, ino uint64, born int64, err error) {
	return stat(int(file.Fd()), "", file.Name(), unix.AT_EMPTY_PATH)
}

// stat is statx(2). Where that is missing, or forbidden by a filter, fstatat does.
func stat(dir int, path, name string, flags int) (dev, ino uint64, born int64, err error) {
	var x unix.Statx_t
	err = again(func() error { return unix.Statx(dir, path, flags, unix.STATX_INO|unix.STATX_BTIME, &x) })
	if err == nil {
		if x.Mask&unix.STATX_BTIME != 0 {
			born = x.Btime.Sec*1e9 + int64(x.Btime.Nsec)
		}
		return unix.Mkdev(x.Dev_major, x.Dev_minor), x.Ino, born, nil
	}
	if errors.Is(err, unix.ENOSYS) || errors.Is(err, unix.EPERM) {
		var st unix.Stat_t
		if err = again(func() error { return unix.Fstatat(dir, path, &st, flags) }); err == nil {
			return uint64(st.Dev), uint64(st.Ino), 0, nil
		}
	}
	return 0, 0, 0, &fs.PathError{Op: "stat", Path: name, Err: err}
}

// again calls f until no signal interrupts it.
func again(f func() error) error {
	for {
		if err := f(); !errors.Is(err, unix.EINTR) {
			return err
		}
	}
}
