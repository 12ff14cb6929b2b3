//go:build !linux && !windows

package osproc

import (
	"context"
	"errors"
)

// HasMark returns [errors.ErrUnsupported].
func HasMark(context.Context, string, Identity) (bool, error) { return false, errors.ErrUnsupported }
