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

// checkWriters makes sure that others may not write to the directory at path, whose Stat is
// fi.
func checkWriters(path string, fi fs.FileInfo) error {
	if fi.Mode().Perm()&0o022 != 0 {
		return fmt.Errorf("%s has mode %v", path, fi.Mode())
	}
	return nil
}

// A wayIn is how others may enter a directory.
type wayIn struct {
	who  string
	mode os.FileMode
}

// waysIn are those that a rule tries.
var waysIn = []wayIn{
	{"everybody", 0o777},
	{"its group", 0o770},
	{"its group, to pass through", 0o710},
	{"others, to pass through", 0o701},
}

// letOthersIn opens the directory at path to others, until restore.
func letOthersIn(path string, way wayIn) (restore func(), err error) {
	before, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	return func() { os.Chmod(path, before.Mode().Perm()) }, os.Chmod(path, way.mode)
}
