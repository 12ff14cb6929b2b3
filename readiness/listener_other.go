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
	return nil, fmt.Errorf("readiness.Listener: a pod inherits no descriptors on this system: %w", errors.ErrUnsupported)
}

// clearSocket leaves it to the pod.
func clearSocket(string, string) error { return nil }
