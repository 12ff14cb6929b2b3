//go:build linux || darwin || freebsd

package launcher

import "golang.org/x/sys/unix"

// isFull reports whether there is no space left for us on the filesystem that
// the file at path is on.
func isFull(path string) bool {
	var fs unix.Statfs_t
	return unix.Statfs(path, &fs) == nil && fs.Blocks > 0 && int64(fs.Bavail) <= 0
}
