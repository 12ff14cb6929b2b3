//go:build !linux && !darwin && !freebsd

package proc

import "errors"

func lifeOf(int) (start uint64, dead bool, err error) { return 0, false, errors.ErrUnsupported }

func here() (boot, namespace string, err error) { return "", "", errors.ErrUnsupported }
