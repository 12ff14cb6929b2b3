//go:build !windows

package launcher

import "strings"

// emptyIsCurrent says that an empty entry of PATH stands for the current directory.
const emptyIsCurrent = true

// hasDirectory reports whether program is a path, and not looked up on PATH.
func hasDirectory(program string) bool { return strings.ContainsRune(program, '/') }

// inCurrent would return the program in the current directory, if that came before PATH.
func inCurrent(string) string { return "" }
