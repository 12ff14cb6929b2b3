package readiness

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// ErrNotifyFDClosed says that the pod has closed the descriptor of a [NotifyFD]
// without having written a newline, and runs on.
var ErrNotifyFDClosed = errors.New("pod has closed its notification descriptor without a newline")

// NotifyFD waits for a newline on a descriptor that the pod is given, as s6
// defines it (notification-fd). In shell:
//
//	echo >&3
//
// What comes before the newline is ignored; the pod may then close the
// descriptor, and should, for its children. The endpoint is t.Endpoint: there
// is no address in a newline. The zero value is ready to use.
//
// If the pod, and all who have inherited the descriptor from it, close it without
// a newline, the error is [ErrNotifyFDClosed]. A process that exits closes its
// descriptors a moment before it is known to have exited. So that it is told as
// exited, the probe then waits for half a second for the launcher to end the
// wait; a machine on which the end of a process takes longer than that to be
// seen has the error name both.
//
// It works on every system with pipes to inherit; on windows Prepare returns
// [errors.ErrUnsupported].
type NotifyFD struct {
	// FD is the descriptor in the pod, from 3 on. 0 means the first that no
	// probe before this one has taken, which is 3 where there is none.
	FD int
}

var (
	_ Probe    = NotifyFD{}
	_ Preparer = NotifyFD{}
)

// exitPatience is how long an exit may take to be seen.
const exitPatience = 500 * time.Millisecond

// Wait implements [Probe], for a NotifyFD that was not prepared, and so has no
// descriptor: it returns an error.
func (n NotifyFD) Wait(context.Context, Target) (Endpoint, error) {
	return Endpoint{}, unprepared("NotifyFD")
}

// String describes the probe.
func (n NotifyFD) String() string {
	if n.FD == 0 {
		return "a newline on the notification descriptor"
	}
	return fmt.Sprintf("a newline on descriptor %d", n.FD)
}
