package runtimedir

import (
	"fmt"

	"golang.org/x/sys/windows"
)

// errNotDir is not syscall.ENOTDIR: on Windows that is an fs.ErrNotExist.
var errNotDir = fmt.Errorf("not a directory: %w", windows.ERROR_DIRECTORY)

// isOtherUsers cannot tell.
func isOtherUsers(string) bool { return false }

// tempBase is the base of Temp; a user has a directory for temporary files of his own.
func tempBase() string { return "podlaunch" }

// tempVariable is what os.TempDir reads first (GetTempPath2).
const tempVariable = "TMP"

// homePlace is where the base is if no other variable leads to it. $HOME is no such place:
// only some shells set it, so a program would not find the pods that it has launched from
// another one.
func homePlace(app string) (variable, below string) { return "LOCALAPPDATA", app + `\run` }
