package launcher

import (
	"context"
	"errors"
	"fmt"
)

// Drain waits until [Spec.Stdout] and [Spec.Stderr] have got all, and returns the errors
// of those that have failed. That is some time after the pod is gone ([Pod.Done]), or was
// released, for neither waits for a slow writer. Once ctx is done Drain returns an error
// that wraps context.Cause(ctx), and the writers are still called. A pod that was
// launched without writers, or attached to, is drained at once.
func (p *Pod) Drain(ctx context.Context) error {
	if p.streams == nil {
		return nil
	}
	var errs []error
	for _, st := range p.streams.list {
		if !receiveOr(ctx, st.done) {
			errs = append(errs, fmt.Errorf("%s has not got all yet: %w", st.field, context.Cause(ctx)))
			break
		}
		errs = append(errs, st.failure())
	}
	return p.named("drain", errors.Join(errs...))
}
