package readiness

import (
	"context"
	"errors"
	"strings"
)

// Sequence waits for one probe after another, and hands what each learned on
// to the next as [Target.Endpoint], and [Target.PID] if it had a process adopted
// ([Adopter]). It returns what the last one returned, or
// the first error; once ctx is done, that is a [*PendingError] of the probe whose
// turn it was. An empty Sequence, or a nil probe in one, is an error: it
// would call everything ready.
type Sequence []Probe

var (
	_ Composite = Sequence{}
	_ Preparer  = Sequence{}
)

// Wait implements [Probe].
func (s Sequence) Wait(ctx context.Context, t Target) (Endpoint, error) {
	if err := checkParts("Sequence", s); err != nil {
		return Endpoint{}, err
	}
	for _, p := range s {
		e, err := p.Wait(ctx, t)
		if err != nil {
			return Endpoint{}, s.named(ctx, p, err)
		}
		t.Endpoint, t.PID = e, t.first()
	}
	return t.Endpoint, nil
}

// named returns err, with which p ended, so that it says that it was p which was
// still waiting, if that is so and it does not say it itself.
func (s Sequence) named(ctx context.Context, p Probe, err error) error {
	if pending := (*PendingError)(nil); len(s) == 1 || errors.As(err, &pending) {
		return err
	}
	if part := pendingPart(ctx, p, err); part != nil {
		return part
	}
	return err
}

// Prepare implements [Preparer]: each probe is prepared, in order.
func (s Sequence) Prepare(ctx context.Context, setup *Setup) (Probe, error) {
	probes, err := prepareParts(ctx, "Sequence", s, setup)
	return Sequence(probes), err
}

// Probes implements [Composite].
func (s Sequence) Probes() []Probe { return s }

// String describes the probes, in order.
func (s Sequence) String() string { return strings.Join(describeAll(s), ", then ") }
