//go:build unix

package runtimedirtest

import (
	"fmt"
	"io/fs"
	"os"
	"syscall"
)

// modeMatters says whether permission bits mean anything on this system.
const modeMatters = true

// checkOwner makes sure that the file at path, whose Stat is fi, is ours.
func checkOwner(path string, fi fs.FileInfo) error {
	if st, ok := fi.Sys().(*syscall.Stat_t); ok && int(st.Uid) != os.Geteuid() {
		return fmt.Errorf("%s belongs to user %d, and we are user %d", path, st.Uid, os.Geteuid())
	}
	return nil
}
