//go:build darwin || freebsd

package program

import (
	"os"
	"syscall"
)

// stampOf returns the stamp of the file that fi is of.
func stampOf(fi os.FileInfo) (stamp, bool) {
	s, ok := fi.Sys().(*syscall.Stat_t)
	if !ok {
		return stamp{}, false
	}
	return stamp{uint64(s.Dev), uint64(s.Ino), s.Size, s.Mtimespec.Nano(), s.Ctimespec.Nano()}, true
}
