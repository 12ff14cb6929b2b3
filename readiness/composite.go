package readiness

import (
	"context"
	"fmt"
	"iter"
)

// A Composite is a [Probe] made of others. It is optional: a combinator of
// one's own that has it need not pass on what [LineOwner], [StatusReader] and
// [Verifier] ask; they are found in its parts.
type Composite interface {
	Probe
	// Probes returns the parts, in order. The caller does not change them.
	Probes() []Probe
}

// Leaves yields what p is made of, in order: p itself if it is no [Composite].
func Leaves(p Probe) iter.Seq[Probe] {
	return func(yield func(Probe) bool) { leaves(p, yield) }
}

func leaves(p Probe, yield func(Probe) bool) bool {
	c, ok := p.(Composite)
	if !ok {
		return yield(p)
	}
	for _, part := range c.Probes() {
		if !leaves(part, yield) {
			return false
		}
	}
	return true
}

// OwnsLine reports whether p waits for line; see [LineOwner].
func OwnsLine(p Probe, t Target, line []byte) bool {
	for leaf := range Leaves(p) {
		if o, ok := leaf.(LineOwner); ok && o.OwnsLine(t, line) {
			return true
		}
	}
	return false
}

// StatusOf returns what the pod says of its progress with line, if p knows such
// lines; see [StatusReader].
func StatusOf(p Probe, t Target, line []byte) (text []byte, ok bool) {
	for leaf := range Leaves(p) {
		if r, is := leaf.(StatusReader); is {
			if text, ok = r.Status(t, line); ok {
				return text, true
			}
		}
	}
	return nil, false
}

// Verify asks whether a pod, which p once found ready, still answers on t.Endpoint: the
// last [Verifier] in p decides. Without a Verifier only the pod may answer, as [Socket]
// has it. A pod without an endpoint cannot be asked, and Verify returns nil.
func Verify(ctx context.Context, p Probe, t Target) error {
	if t.Endpoint == (Endpoint{}) {
		return nil
	}
	var last Verifier = Socket{}
	for leaf := range Leaves(p) {
		if v, ok := leaf.(Verifier); ok {
			last = v
		}
	}
	return last.Verify(ctx, t)
}

// checkParts makes sure that the combinator called what has parts, and none of
// them is nil.
func checkParts(what string, probes []Probe) error {
	if len(probes) == 0 {
		return fmt.Errorf("readiness.%s: it is empty", what)
	}
	for i, p := range probes {
		if p == nil {
			return fmt.Errorf("readiness.%s: probe %d of %d is nil", what, i, len(probes))
		}
	}
	return nil
}

// prepareParts prepares each of the probes of the combinator called what.
func prepareParts(ctx context.Context, what string, probes []Probe, s *Setup) ([]Probe, error) {
	if err := checkParts(what, probes); err != nil {
		return nil, err
	}
	prepared := make([]Probe, len(probes))
	for i, p := range probes {
		var err error
		if prepared[i], err = Prepare(ctx, p, s); err != nil {
			return nil, err
		}
	}
	return prepared, nil
}

// describeAll names probes for a person.
func describeAll(probes []Probe) []string {
	names := make([]string, len(probes))
	for i, p := range probes {
		names[i] = Describe(p)
	}
	return names
}
