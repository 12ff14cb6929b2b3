//go:build !linux

package readiness

import (
	"context"
	"errors"
	"fmt"
)

// Prepare implements [Preparer]: on this system it is not known who sends a
// datagram.
func (s NotifySocket) Prepare(context.Context, *Setup) (Probe, error) {
	return nil, fmt.Errorf("readiness.NotifySocket: the sender of a datagram is not told on this system: %w", errors.ErrUnsupported)
}
