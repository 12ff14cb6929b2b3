//go:build unix && !linux

package logsource

import (
	"io/fs"
	"os"
	"syscall"
)

// statPath returns what is in the FileID of the file to which path leads.
func statPath(path string) (dev, ino uint64, born int64, err error) { return stat(os.Stat(path)) }

// statOpen returns what is in the FileID of file.
func statOpen(file *os.File) (dev, ino uint64, born int64, err error) { return stat(file.Stat()) }

func stat(fi fs.FileInfo, err error) (uint64, uint64, int64, error) {
	if err != nil {
		return 0, 0, 0, err
	}
	st := fi.Sys().(*syscall.Stat_t)
	return uint64(st.Dev), uint64(st.Ino), 0, nil
}
