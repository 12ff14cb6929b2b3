//go:build !linux

package logsource

import "os"

// nonblock: see watch_linux.go; elsewhere the check after opening has to do.
const nonblock = 0

// watchPaths returns the names under which file may be watched, best first.
func watchPaths(file *os.File) []string { return []string{file.Name()} }
