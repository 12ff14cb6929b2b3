//go:build !unix && !windows

package ownership

import "errors"

const unlockFreesCopies = false

func tryLock(*dir, string, bool) (*lock, error) { return nil, errors.ErrUnsupported }

func isLocked(*dir, string) (bool, error) { return false, errors.ErrUnsupported }
