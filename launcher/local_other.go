//go:build !linux && !darwin && !freebsd

package launcher

import (
	"context"
	"errors"
	"syscall"
)

// supported says whether pods can be launched on this system.
const supported = false

// sigCont has no meaning here.
const sigCont = syscall.Signal(0)

// Start returns [errors.ErrUnsupported].
func (Local) Start(context.Context, StartRequest) (Process, error) {
	return nil, errors.ErrUnsupported
}

func mayEnter(string) error { return nil }

func checkArgumentSpace(*Command) error { return nil }
