package readiness

import (
	"context"
	"errors"
	"fmt"
	"strings"
)

// Any waits for all of its probes at once, until the first of them says that
// the pod is ready; the endpoint is that one's. The wait for the others is
// ended then, and none of them is still running when Wait returns. It fails
// only when all of them have; the error holds all of theirs. An empty Any, or a
// nil probe in one, is an error: there would be nothing to wait for.
//
// Once ctx is done the error is a [*PendingError] whose Parts are the probes
// that were still waiting; what the others failed with is in its Notes.
//
// Each probe runs in a goroutine of its own. A panic in one of them goes on in
// the goroutine that called Wait.
type Any []Probe

var (
	_ Composite = Any{}
	_ Preparer  = Any{}
)

// Wait implements [Probe].
func (a Any) Wait(ctx context.Context, t Target) (Endpoint, error) {
	if err := checkParts("Any", a); err != nil {
		return Endpoint{}, err
	}
	results, winner := waitAll(ctx, a, t, func(r result) bool { return r.err == nil })
	if winner >= 0 {
		return results[winner].endpoint, nil
	}
	if len(a) == 1 {
		return Endpoint{}, results[0].err
	}
	var missing []*PendingError
	var failed []error
	for i, r := range results {
		if part := pendingPart(ctx, a[i], r.err); part != nil {
			missing = append(missing, part)
		} else {
			failed = append(failed, r.err)
		}
	}
	if missing == nil {
		return Endpoint{}, noneError(failed)
	}
	e := &PendingError{
		Waiting: fmt.Sprintf("any of %d", len(missing)),
		Parts:   missing,
		Cause:   context.Cause(ctx),
	}
	for _, err := range failed {
		e.Notes = append(e.Notes, "another has failed: "+err.Error())
	}
	return Endpoint{}, e
}

// Prepare implements [Preparer]. A probe that cannot be prepared has failed, and
// what it has added to s is taken back; it is an error only if none can.
func (a Any) Prepare(ctx context.Context, s *Setup) (Probe, error) {
	if err := checkParts("Any", a); err != nil {
		return nil, err
	}
	prepared := make(Any, len(a))
	var failed []error
	for i, p := range a {
		undo := s.mark()
		var err error
		if prepared[i], err = Prepare(ctx, p, s); err != nil {
			undo()
			failed = append(failed, err)
			prepared[i] = failedPart{p, err}
		}
	}
	if len(failed) == len(a) {
		return nil, noneError(failed)
	}
	return prepared, nil
}

// Probes implements [Composite].
func (a Any) Probes() []Probe { return a }

// String describes the probes.
func (a Any) String() string { return "any of (" + strings.Join(describeAll(a), "; ") + ")" }

// A failedPart is a probe that could not be prepared: it has failed with err.
type failedPart struct {
	probe Probe
	err   error
}

func (u failedPart) Wait(context.Context, Target) (Endpoint, error) { return Endpoint{}, u.err }
func (u failedPart) String() string                                 { return Describe(u.probe) }

// noneError is what an Any fails with when all of its probes have, with errs.
type noneError []error

func (e noneError) Error() string {
	if len(e) == 1 {
		return e[0].Error()
	}
	return fmt.Sprintf("none of %d: %s", len(e), strings.ReplaceAll(errors.Join(e...).Error(), "\n", "; "))
}

func (e noneError) Unwrap() []error { return e }
