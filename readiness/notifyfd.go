package readiness

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"time"
)

// ErrNotifyFDClosed says that the pod has closed the descriptor of a [NotifyFD]
// without having written a newline, and runs on.
var ErrNotifyFDClosed = errors.New("pod has closed its notification descriptor without a newline")

// NotifyFD waits for a newline on a descriptor that the pod gets, as s6 defines it
// (notification-fd). In shell:
//
//	echo >&3
//
// It ignores what comes before the newline, unless there is a Match. The pod may
// then close the descriptor, and should, for its children. The endpoint is
// t.Endpoint: there is no address in a newline. The zero value is ready to use.
//
// Some programs write their address there, when they listen on it:
//
//	dbus-daemon --session --nofork --print-address=3	(?P<network>unix):path=(?P<address>[^,]+)
//	Xvfb -displayfd 3                               	^(?P<value>\d+)$
//
// If the pod, and all processes that inherited the descriptor from it, close it
// without a newline, the error is [ErrNotifyFDClosed]. A process that exits closes its
// descriptors a moment before the launcher sees the exit. So that the launch reports
// the exit, the probe then waits half a second for the launcher to end the wait. Where
// the launcher takes longer than that to see the exit, the error names both.
//
// It works on every system with pipes to inherit; on windows Prepare returns
// [errors.ErrUnsupported].
type NotifyFD struct {
	// FD is the descriptor in the pod, from 3 on. 0 means the first that no
	// probe before this one has taken, which is 3 where there is none.
	FD int

	// Match is an expression for a line that the pod writes on the descriptor,
	// without its newline. Its groups may give the endpoint, as those of a
	// [Pattern]. A line that does not match is passed over, and so is what is
	// beyond the first 64 KiB of a line. What the pod has written when it closes
	// the descriptor is a line as well. Nil means that any newline will do.
	Match *regexp.Regexp

	// Value gets what the group called value has matched; see [Fact]. The zero
	// Fact means that there is no such group.
	Value Fact[string]
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
	what := "a newline"
	if n.Match != nil {
		what = fmt.Sprintf("a line that matches %q", n.Match)
	}
	if n.FD == 0 {
		return what + " on the notification descriptor"
	}
	return fmt.Sprintf("%s on descriptor %d", what, n.FD)
}

// check makes sure that the fields can work.
func (n NotifyFD) check() error {
	switch {
	case n.Match != nil:
		return n.matching().check()
	case n.Value != (Fact[string]{}):
		return fmt.Errorf("readiness.NotifyFD.Value: it is set (%v), and there is no Match to give it", n.Value)
	}
	return nil
}

func (n NotifyFD) matching() matching {
	return matching{field: "readiness.NotifyFD.Match", expr: n.Match, value: n.Value}
}
