package readiness

import (
	"context"
	"errors"
	"path/filepath"
)

// NotifySocket waits for the pod to say READY=1 as sd_notify(3) has it: with a
// datagram to the socket that the variable NOTIFY_SOCKET names. Programs that
// were made for systemd do that, and in any language it is a few lines. It is
// the parent's side; the zero value is ready to use.
//
// The endpoint is t.Endpoint: a notification holds no address. Another probe learns
// it, or a [Listener] gives it:
//
//	readiness.Sequence{readiness.Listener{}, readiness.NotifySocket{}}
//
// What else a pod may say, one assignment a line, several in one datagram:
//
//	STATUS=text                shown as progress; the last one is in the error. An empty one is no progress
//	ERRNO=n, EXIT_STATUS=n     it has failed: a [*FailedError], whose Reason is the last STATUS
//	STOPPING=1                 it ends: likewise
//	EXTEND_TIMEOUT_USEC=n      it needs so much time from now: [Setup.Extend]
//	BARRIER=1                  alone, with a descriptor, which is closed now: all before it was handled
//	MAINPID=n                  with [NotifySocket.MainPID]: the pod's first process is another one; else noted
//
// The assignments of a datagram count as said at once; a failure among them takes
// precedence over READY=1. The probe ignores other assignments. It does not take a line
// or a datagram that is not well-formed, or a datagram of more than 8 KiB, and reports
// it when the time is over. It closes all descriptors that it gets.
//
// The probe reads datagrams while it waits; earlier ones wait for it. So in a
// [Sequence] it belongs first, except that probes that need no time may come before
// it. A helper such as systemd-notify(1) sends a barrier after its READY=1. After a
// READY=1 that may come from another process than the pod's first, the probe therefore
// stays up to 50 ms for the barrier.
//
// Once the launch is over the probe no longer reads, but the socket stays, for programs
// that notify whenever they reload or report. The pod inherits the socket, at the
// highest free descriptor of those that a [Setup] can hand over. The kernel drops what
// it sends then, and no sender fails or blocks. If the pod closes the descriptor, it
// loses the socket. Its notifications then fail, which sd_notify(3) asks programs to
// ignore.
//
// The probe needs to know the sender of a datagram, which only Linux reports; on other
// systems Prepare returns [errors.ErrUnsupported].
type NotifySocket struct {
	// Peer decides which process may notify. Nil means [SamePod], except that the
	// pod's processes may have any user. See also [SameUser] and [AnyPeer]. Its error
	// is final and should wrap [ErrForeignPeer]. Exception: a process of our user that
	// is gone already may have been the pod's. The probe does not take what that said,
	// but reports it when the time is over.
	Peer func(p Peer, t Target) error

	// Public lets a pod that changes its user or its root reach the socket: the
	// socket has a name in the abstract namespace (unix(7)) that cannot be guessed,
	// in place of a path in the runtime directory, which is ours alone. Peer still
	// decides which process may notify, but a stranger's notification does not end the
	// wait: the probe does not take it, and reports it when the time is over. A pod in
	// a network namespace of its own cannot reach the socket.
	Public bool

	// MainPID has the launcher adopt the process that a notification names with
	// MAINPID=, for a program that goes to the background. Say it before READY=1, or
	// with it. The process must be proven to belong to the pod, see [Kin]: a MAINPID
	// that is not proven is an error, which wraps [ErrUnproven] and ends the launch.
	// Without a Peer every process that is proven to belong to the pod may notify, also
	// once its parents have ended. The process that was started need not end; if it
	// does, it has to end with status 0.
	MainPID bool
}

var (
	_ Probe    = NotifySocket{}
	_ Preparer = NotifySocket{}
	_ Adopter  = NotifySocket{}
)

// Adopts implements [Adopter].
func (s NotifySocket) Adopts() bool { return s.MainPID }

// notifyVariable tells the pod where the socket is.
const notifyVariable = "NOTIFY_SOCKET"

// Wait implements [Probe], for a NotifySocket that was not prepared, and so has
// no socket: it returns an error.
func (s NotifySocket) Wait(context.Context, Target) (Endpoint, error) {
	return Endpoint{}, unprepared("NotifySocket")
}

// String describes the probe.
func (s NotifySocket) String() string { return "READY=1 on the notify socket" }

// place is where the pod in dir finds the socket.
func (NotifySocket) place(dir string) string { return filepath.Join(dir, "notify") }

// unprepared says that the probe called what lacks what Prepare makes.
func unprepared(what string) error {
	return errors.New("readiness." + what + ": it was not prepared before the start: a probe that holds it has to pass Prepare on, with readiness.Prepare")
}
