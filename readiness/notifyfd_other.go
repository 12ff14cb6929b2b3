//go:build !unix

package readiness

import (
	"context"
	"errors"
	"fmt"
)

// Prepare implements [Preparer]: a process inherits no descriptors here.
func (n NotifyFD) Prepare(context.Context, *Setup) (Probe, error) {
	return nil, fmt.Errorf("readiness.NotifyFD: a pod inherits no descriptors on this system: %w", errors.ErrUnsupported)
}
