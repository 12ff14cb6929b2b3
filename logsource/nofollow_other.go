//go:build !unix && !windows

package logsource

import "os"

// openNoFollow opens the file at path for reading. This system cannot be asked not
// to follow a link.
func openNoFollow(path string) (*os.File, error) { return os.Open(path) }
