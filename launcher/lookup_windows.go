package launcher

import (
	"os"
	"os/exec"
	"strings"
)

// emptyIsCurrent says that an empty entry of PATH stands for the current directory. Package
// os/exec leaves it out, as PowerShell does.
const emptyIsCurrent = false

// hasDirectory reports whether program is a path, and not looked up on PATH.
func hasDirectory(program string) bool { return strings.ContainsAny(program, `:\/`) }

// inCurrent returns the program in the current directory, where a shell would look first, or
// "". A variable turns that off (NeedCurrentDirectoryForExePathW).
func inCurrent(program string) string {
	if _, off := os.LookupEnv("NoDefaultCurrentDirectoryInExePath"); off {
		return ""
	}
	found, err := exec.LookPath(`.\` + program)
	if err != nil {
		return ""
	}
	return found
}
