//go:build !unix

package ownership

import "errors"

func tryLock(*dir, string, bool) (*lock, error) { return nil, errors.ErrUnsupported }

func isLocked(*dir, string) (bool, error) { return false, errors.ErrUnsupported }
