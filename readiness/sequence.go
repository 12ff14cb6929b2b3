package readiness

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// Sequence waits for one probe after another, and hands what each learned on
// to the next as [Target.Endpoint]. It returns what the last one returned, or
// the first error. An empty Sequence, or a nil probe in one, is an error: it
// would call everything ready.
type Sequence []Probe

var (
	_ Probe     = Sequence{}
	_ LineOwner = Sequence{}
	_ Verifier  = Sequence{}
)

// Wait implements [Probe].
func (s Sequence) Wait(ctx context.Context, t Target) (Endpoint, error) {
	if len(s) == 0 {
		return Endpoint{}, errors.New("readiness.Sequence: it is empty")
	}
	for i, p := range s {
		if p == nil {
			return Endpoint{}, fmt.Errorf("readiness.Sequence: probe %d of %d is nil", i, len(s))
		}
	}
	for _, p := range s {
		e, err := p.Wait(ctx, t)
		if err != nil {
			return Endpoint{}, err
		}
		t.Endpoint = e
	}
	return t.Endpoint, nil
}

// OwnsLine implements [LineOwner]: a line is the sequence's if it is one of
// its probes'.
func (s Sequence) OwnsLine(t Target, line []byte) bool {
	for _, p := range s {
		if o, ok := p.(LineOwner); ok && o.OwnsLine(t, line) {
			return true
		}
	}
	return false
}

// Verify implements [Verifier]: the last probe of the sequence that is one
// decides. Without one nobody may answer but the pod ([SamePod]).
func (s Sequence) Verify(ctx context.Context, t Target) error {
	for _, p := range slices.Backward(s) {
		if v, ok := p.(Verifier); ok {
			return v.Verify(ctx, t)
		}
	}
	return Socket{}.Verify(ctx, t)
}

// String describes the probes, in order.
func (s Sequence) String() string {
	names := make([]string, len(s))
	for i, p := range s {
		names[i] = describe(p)
	}
	return strings.Join(names, ", then ")
}

// describe names a probe for a person.
func describe(p Probe) string {
	if s, ok := p.(fmt.Stringer); ok {
		return s.String()
	}
	return fmt.Sprintf("%T", p)
}
