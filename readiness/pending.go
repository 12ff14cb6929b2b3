package readiness

import (
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
}

// Error says all of it in one line, the cause last.
func (e *PendingError) Error() string {
	return fmt.Sprintf("%s: %v", e.Pending(), e.Cause)
}

// Pending says what was still missing, without the cause.
func (e *PendingError) Pending() string {
	var b strings.Builder
	b.WriteString("still waiting for " + e.Waiting)
	switch {
	case e.Attempts > 0 && e.Last != nil:
		fmt.Fprintf(&b, " (attempts: %d, last error: %v)", e.Attempts, e.Last)
	case e.Last != nil:
		fmt.Fprintf(&b, " (last error: %v)", e.Last)
	}
	for _, note := range e.Notes {
		b.WriteString("; " + note)
	}
	return b.String()
}

// Unwrap returns the cause and the last attempt's error.
func (e *PendingError) Unwrap() []error {
	if e.Last == nil {
		return []error{e.Cause}
	}
	return []error{e.Cause, e.Last}
}
