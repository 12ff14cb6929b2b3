package readiness

import (
	"context"
	"errors"
	"fmt"
	"strings"
)

// A PendingError is returned by a probe of this package whose time was over
// before the pod was ready. It says what was still missing.
type PendingError struct {
	Waiting  string   // what for: `the ready line "INSOMNIA-READY"`
	Attempts int      // how often it was tried; 0 if the probe does not try but waits
	Last     error    // what the last attempt failed with; nil if there was none
	Notes    []string // what was seen in the meantime that may explain it
	Cause    error    // why the waiting ended: context.Cause of its context

	// Parts are what was still missing of a probe that is made of others.
	// Waiting then only says how many they were, and the rest is in the parts.
	Parts []*PendingError
}

// Error says all of it in one line, the cause last.
func (e *PendingError) Error() string {
	return fmt.Sprintf("%s: %v", e.Pending(), e.Cause)
}

// Pending says what was still missing, without the cause.
func (e *PendingError) Pending() string { return "still waiting for " + e.missing() }

func (e *PendingError) missing() string {
	var b strings.Builder
	b.WriteString(e.Waiting)
	switch {
	case e.Attempts > 0 && e.Last != nil:
		fmt.Fprintf(&b, " (attempts: %d, last error: %v)", e.Attempts, e.Last)
	case e.Last != nil:
		fmt.Fprintf(&b, " (last error: %v)", e.Last)
	}
	separator := ": "
	for _, part := range e.Parts {
		b.WriteString(separator + part.missing())
		separator = ", and "
	}
	for _, note := range e.Notes {
		b.WriteString("; " + note)
	}
	return b.String()
}

// Tried reports whether the error says more than what was waited for: that
// attempts were made, or that something was noticed.
func (e *PendingError) Tried() bool {
	if e.Attempts > 0 || len(e.Notes) > 0 {
		return true
	}
	for _, part := range e.Parts {
		if part.Tried() {
			return true
		}
	}
	return false
}

// Unwrap returns the cause, and the last attempts' errors.
func (e *PendingError) Unwrap() []error {
	return append([]error{e.Cause}, e.lasts()...)
}

func (e *PendingError) lasts() (errs []error) {
	if e.Last != nil {
		errs = append(errs, e.Last)
	}
	for _, part := range e.Parts {
		errs = append(errs, part.lasts()...)
	}
	return errs
}

// pendingPart returns what err, with which p ended when ctx did, says of what
// was still missing; nil if it is a verdict of its own.
func pendingPart(ctx context.Context, p Probe, err error) *PendingError {
	cause := context.Cause(ctx)
	if cause == nil || !errors.Is(err, cause) && !errors.Is(err, ctx.Err()) {
		return nil
	}
	var pending *PendingError
	if errors.As(err, &pending) {
		return pending
	}
	pending = &PendingError{Waiting: Describe(p), Cause: cause}
	if err != cause && err != ctx.Err() {
		pending.Last = err // it has something to say
	}
	return pending
}
