//go:build unix

package runtimedir

import (
	"fmt"
	"io/fs"
	"os"
	"syscall"
)

// modeMatters says whether permission bits mean anything on this system.
const modeMatters = true

var errNotDir error = syscall.ENOTDIR

// checkOwner makes sure that the file at path, whose Stat is fi, is ours.
func checkOwner(path string, fi fs.FileInfo) error {
	st, ok := fi.Sys().(*syscall.Stat_t)
	if !ok {
		return fmt.Errorf("%w: the owner of %s cannot be told", ErrInsecure, quote(path))
	}
	if uid := os.Geteuid(); int(st.Uid) != uid {
		return fmt.Errorf("%w: %s belongs to user %d, and we are user %d", ErrInsecure, quote(path), st.Uid, uid)
	}
	return nil
}

// isOtherUsers reports whether the directory at path is that of another user, who is not root.
func isOtherUsers(path string) bool {
	fi, err := os.Stat(path)
	if err != nil {
		return false
	}
	st, ok := fi.Sys().(*syscall.Stat_t)
	return ok && st.Uid != 0 && int(st.Uid) != os.Geteuid()
}

// tempBase is the base of Temp where all users share a directory.
func tempBase() string { return fmt.Sprintf("podlaunch-%d", os.Geteuid()) }
