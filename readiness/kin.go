package readiness

import (
	"context"
	"errors"
)

// A Kin tells a probe which processes belong to the pod, and lets it say which of them is
// the pod's first. The launcher provides it ([Target.Kin]). Its methods may be called from
// any number of goroutines. It is for the launch: afterwards Adopt is an error, and Prove may
// find no proof any more, above all if the process that was started has ended.
type Kin interface {
	// Prove returns nil if the process pid is proven to belong to the pod: it descends
	// from the process that was started. The error wraps [ErrUnproven] if there is no
	// proof. Any other error says why Prove cannot tell.
	Prove(ctx context.Context, pid int) error

	// Adopt makes the process pid the pod's first process, if it is proven to belong to
	// the pod. It takes the place of the started process, or of one adopted before. from
	// says where pid comes from, for the error: `the pid file "/run/x.pid"`. The error is
	// that of Prove, and names pid and from; then nothing has changed. It is an error if
	// no probe of the launch is an [Adopter].
	Adopt(ctx context.Context, pid int, from string) error
}

// ErrUnproven says that a process is not proven to belong to the pod. The launcher neither
// adopts nor signals it. The error that wraps it names the process, and says why.
var ErrUnproven = errors.New("it is not proven to be of the pod")
