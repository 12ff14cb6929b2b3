//go:build linux || darwin || freebsd

package osproc

import "golang.org/x/sys/unix"

// MayEnter returns nil if a process of ours can be in dir.
func MayEnter(dir string) error {
	return unix.Faccessat(unix.AT_FDCWD, dir, unix.X_OK, unix.AT_EACCESS)
}

// IsFull reports whether there is no space left for us on the filesystem that
// the file at path is on.
func IsFull(path string) bool {
	var fs unix.Statfs_t
	return unix.Statfs(path, &fs) == nil && fs.Blocks > 0 && int64(fs.Bavail) <= 0
}
