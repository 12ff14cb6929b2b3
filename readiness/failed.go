package readiness

import (
	"errors"
	"fmt"
	"strings"
	"syscall"
)

// ErrFailed means that the pod itself said, before it was ready, that it failed or
// ends. A [*FailedError] wraps it.
var ErrFailed = errors.New("pod says that it has failed")

// A FailedError is what a pod says of its own failure. It is the verdict of the
// probe that understood it: the launch ends with it at once, and if the pod has
// exited by then the launch's error has the exit too.
type FailedError struct {
	// Reason is why, in the pod's own words: one line of any bytes, at most
	// 4 KiB. Empty if it gave none.
	Reason string

	// Errno is the system's error that the pod has met; 0 if it named none. It is
	// the pod's, not the launcher's, and so errors.Is does not find it.
	Errno syscall.Errno

	// ExitStatus is the status with which the pod is going to exit; nil if it named
	// none.
	ExitStatus *int

	// Stopping says that the pod has begun to end.
	Stopping bool
}

// Error says it in one line.
func (e *FailedError) Error() string {
	var facts []string
	if e.Errno != 0 {
		facts = append(facts, fmt.Sprintf("errno %d: %v", int(e.Errno), e.Errno))
	}
	if e.ExitStatus != nil {
		facts = append(facts, fmt.Sprintf("exit status %d", *e.ExitStatus))
	}
	if e.Stopping {
		facts = append(facts, "it is stopping")
	}
	s := ErrFailed.Error()
	switch {
	case e.Reason != "":
		s += ": " + e.Reason
	case facts == nil:
		s += ", without a reason"
	}
	if facts != nil {
		s += " (" + strings.Join(facts, ", ") + ")"
	}
	return s
}

// Unwrap returns [ErrFailed].
func (e *FailedError) Unwrap() error { return ErrFailed }
