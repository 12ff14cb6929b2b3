//go:build !unix && !windows

package runtimedir

import (
	"errors"
	"io/fs"
)

// modeMatters says whether permission bits mean anything on this system.
const modeMatters = false

var errNotDir = errors.New("not a directory")

// checkOwner cannot tell here whose a file is; on these systems nothing is
// launched, so nothing is trusted either.
func checkOwner(string, fs.FileInfo) error { return nil }

// isOtherUsers cannot tell.
func isOtherUsers(string) bool { return false }

// tempBase is the base of Temp; a user has a directory for temporary files of his own.
func tempBase() string { return "podlaunch" }
