//go:build !unix

package readiness

import (
	"context"
	"errors"
	"fmt"
)

// Prepare implements [Preparer]: a process inherits no descriptors here.
func (l Listener) Prepare(context.Context, *Setup) (Probe, error) {
	if err := l.check(); err != nil {
		return nil, err
	}
	return nil, fmt.Errorf("readiness.Listener: %w", errors.ErrUnsupported)
}
