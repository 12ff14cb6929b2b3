//go:build unix && !linux

package fakepod

import "errors"

func undumpable() error { return errors.ErrUnsupported }
