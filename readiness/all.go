package readiness

import (
	"context"
	"fmt"
	"strings"
)

// All waits for all of its probes at once. Each gets the Target as it came. The
// first verdict against the pod ends the wait for the others, and is returned.
// The endpoint is the last that one of them learned, in the order in which they
// stand. An empty All, or a nil probe in one, is an error: it would call
// everything ready.
//
// Once ctx is done the error is a [*PendingError] whose Parts are exactly the
// probes that were still waiting.
//
// Each probe runs in a goroutine of its own; they have all ended when Wait
// returns. A panic in one of them goes on in the goroutine that called Wait.
type All []Probe

var (
	_ Composite = All{}
	_ Preparer  = All{}
)

// Wait implements [Probe].
func (a All) Wait(ctx context.Context, t Target) (Endpoint, error) {
	if err := checkParts("All", a); err != nil {
		return Endpoint{}, err
	}
	results, settled := waitAll(ctx, a, t, func(r result) bool {
		return r.err != nil && pendingPart(ctx, a[r.index], r.err) == nil
	})
	if settled >= 0 {
		return Endpoint{}, results[settled].err
	}
	learned := t.Endpoint
	var missing []*PendingError
	for i, r := range results {
		if r.err != nil {
			missing = append(missing, pendingPart(ctx, a[i], r.err))
		} else if r.endpoint != t.Endpoint {
			learned = r.endpoint
		}
	}
	switch {
	case missing == nil:
		return learned, nil
	case len(a) == 1:
		return Endpoint{}, results[0].err
	}
	return Endpoint{}, &PendingError{
		Waiting: fmt.Sprintf("%d of %d", len(missing), len(a)),
		Parts:   missing,
		Cause:   context.Cause(ctx),
	}
}

// Prepare implements [Preparer]: each probe is prepared, in order.
func (a All) Prepare(ctx context.Context, s *Setup) (Probe, error) {
	probes, err := prepareParts(ctx, "All", a, s)
	return All(probes), err
}

// Probes implements [Composite].
func (a All) Probes() []Probe { return a }

// String describes the probes.
func (a All) String() string { return "all of (" + strings.Join(describeAll(a), "; ") + ")" }
