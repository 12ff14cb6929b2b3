//go:build !linux

package logsource

import (
	"errors"
	"os"
)

// canFree says that the beginning of a file cannot be freed here.
const canFree = false

func duplicate(*os.File) (*os.File, error) { return nil, errors.ErrUnsupported }

func reopenForWriting(*os.File) (*os.File, error) { return nil, errors.ErrUnsupported }

func punch(*os.File, int64) error { return errors.ErrUnsupported }

// findHole finds none: nothing makes one here.
func findHole(_ *os.File, _, n int64) (data, next int64, err error) { return n, 0, nil }
