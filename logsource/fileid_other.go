//go:build !unix && !windows

package logsource

import (
	"errors"
	"fmt"
	"os"
)

// statPath would return what is in the FileID of the file to which path leads.
func statPath(path string) (dev, ino uint64, born int64, err error) {
	return 0, 0, 0, fmt.Errorf("identify %q: %w", path, errors.ErrUnsupported)
}

// statOpen would return what is in the FileID of file.
func statOpen(file *os.File) (dev, ino uint64, born int64, err error) { return statPath(file.Name()) }
