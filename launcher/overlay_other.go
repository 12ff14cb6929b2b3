//go:build !linux

package launcher

import (
	"errors"
	"os"
)

// inMemory says that this system has no files without a name.
func inMemory(string) (*os.File, error) { return nil, errors.ErrUnsupported }
