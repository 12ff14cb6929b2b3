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
// The endpoint is t.Endpoint: a notification holds no address. It is learned by
// another probe, or given by a [Listener]:
//
//	readiness.Sequence{readiness.Listener{}, readiness.NotifySocket{}}
//
// What else a pod may say, one assignment a line, several in one datagram:
//
//	STATUS=text                shown as progress; the last one is in the error
//	ERRNO=n, EXIT_STATUS=n     it has failed: a [*FailedError], whose Reason is the last STATUS
//	STOPPING=1                 it ends: likewise
//	EXTEND_TIMEOUT_USEC=n      it needs so much time from now: [Setup.Extend]
//	BARRIER=1                  alone, with a descriptor, which is closed now: all before it was handled
//	MAINPID=n                  noted
//
// What is in one datagram counts as said at once, and a failure before READY=1.
// Anything else is ignored. What is not well-formed, or has more than 8 KiB, is
// not taken, and told when the time is over. Descriptors are closed.
//
// Datagrams are read while the probe waits, and wait for it before that; so in a
// [Sequence] it belongs first, but for probes that need no time. Once the launch
// is over the socket is gone, and with it whoever would listen: what a pod then
// says fails, which sd_notify(3) asks programs to ignore. So that a helper, as
// systemd-notify(1), gets its barrier through, the probe stays for it up to 50
// ms after a READY=1 that need not be the pod's first process's own.
//
// It needs to know who has sent a datagram, which only Linux tells; elsewhere
// Prepare returns [errors.ErrUnsupported].
type NotifySocket struct {
	// Peer decides who may notify. Nil means [SamePod]. See also [SameUser] and
	// [AnyPeer]. Its error is final and should wrap [ErrForeignPeer], except for
	// a process of our user that is gone already: what that said may have been
	// the pod's, and is not taken, but told when the time is over.
	Peer func(p Peer, t Target) error
}

var (
	_ Probe    = NotifySocket{}
	_ Preparer = NotifySocket{}
)

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
