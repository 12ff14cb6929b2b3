//go:build linux && !amd64

package crashpoint

import (
	"errors"
	"syscall"
)

const canFail = false

func skipCall(int) error { return errors.ErrUnsupported }

func setResult(int, syscall.Errno) error { return errors.ErrUnsupported }
