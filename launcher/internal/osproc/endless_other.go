//go:build !linux

package osproc

import (
	"errors"
	"os"
)

// Endless returns [errors.ErrUnsupported]: where a pipe cannot be opened by its
// descriptor it would take a FIFO, and a crash would leave that behind.
func Endless() (*os.File, error) { return nil, errors.ErrUnsupported }
