package readiness

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"syscall"
	"time"
)

// TCP dials an address until a connection is accepted, and closes it again. The
// zero value dials the endpoint that an earlier probe learned.
//
// If a process answers on Address before the pod starts, the launch fails with
// [ErrForeignPeer]: the probe would take that process for the pod. On Linux the probe
// also looks up the owner of the socket that took the connection, if it is on this
// machine. The owner is a stranger, and the error is [ErrForeignPeer], if it is not of
// the pod (see [SamePod]; its user does not matter here), and either ran before the pod
// started or is of another pod. If the probe cannot find the owner, or the owner is
// younger than the pod, the answer counts. What remains is a moment in which a stranger
// that we cannot see takes the port.
//
// A program that looks whether its port is free listens on it and closes it again.
// So on Address the same socket has to listen for a tenth of a second.
//
// It tries again while the address refuses, times out, resets, or cannot be
// reached yet. Any other error is final, unless Schedule.Final says otherwise.
type TCP struct {
	// Address is host:port. A host that is empty or stands for all means every
	// loopback, and the loopback that answers is the endpoint. The port must be a
	// number other than 0. An empty Address means the endpoint that an earlier probe
	// learned; if that is a loopback, the other loopback counts as well if the probe
	// sees the pod listen there.
	Address string

	// Network of Address: "tcp4", "tcp6", or "tcp", which empty means.
	Network string

	// Shared allows a process to answer on Address before the pod starts: where
	// several pods share a port, or the launcher hands the pod its listener. The probe
	// then does not ask either which process answers.
	Shared bool

	// NoConnect makes the probe look whether a process listens, without connecting:
	// for a server that takes a single connection. Only Linux shows that, and only of
	// this machine; elsewhere it is an error that wraps [errors.ErrUnsupported].
	NoConnect bool

	// Schedule of the attempts. One takes two seconds at most if it does not
	// say otherwise.
	Schedule
}

var (
	_ Probe    = TCP{}
	_ Preparer = TCP{}
)

// dialAttempt is how long an attempt to reach the pod over a network may take.
const dialAttempt = 2 * time.Second

// Prepare implements [Preparer]: it makes sure that nobody answers on Address.
func (p TCP) Prepare(ctx context.Context, _ *Setup) (Probe, error) {
	if err := p.check(); err != nil {
		return nil, err
	}
	if p.Address == "" || p.Shared {
		return p, nil
	}
	all, _ := p.places(Target{})
	return p, mustNotAnswer(ctx, "TCP", "Address", all)
}

// Wait implements [Probe]. The error is a [*PendingError] once ctx is done.
func (p TCP) Wait(ctx context.Context, t Target) (Endpoint, error) {
	if err := p.check(); err != nil {
		return Endpoint{}, err
	}
	all, err := p.places(t)
	if err != nil {
		return Endpoint{}, err
	}
	d := dialling{target: t, anybody: p.Shared, noConnect: p.NoConnect, field: "readiness.TCP.Shared", allow: "true"}
	var at netip.AddrPort
	poll := Poll{
		What: p.String(),
		Check: func(ctx context.Context, _ Target) (Endpoint, error) {
			return firstOf(all, func(p place) (err error) {
				at, err = d.reach(ctx, p)
				return err
			})
		},
		Schedule: p.Schedule.or(Schedule{Attempt: dialAttempt, Final: finalDial}),
	}
	for again := false; ; again = true {
		e, err := poll.Wait(ctx, t)
		if pending := (*PendingError)(nil); again && errors.As(err, &pending) {
			pending.Notes = append(pending.Notes, briefly)
		}
		if err != nil || p.Address == "" || p.Shared {
			return e, err
		}
		if d.stays(ctx, place{Endpoint: e}, at) {
			// Of several the first: by now the pod has bound all that it is going to.
			return firstOf(all, func(p place) (err error) {
				if p.Endpoint != e {
					_, err = d.reach(ctx, p)
				}
				return err
			})
		}
		if ctx.Err() != nil {
			return Endpoint{}, &PendingError{Waiting: p.String(), Notes: []string{briefly}, Cause: context.Cause(ctx)}
		}
		poll.Delay = 0
	}
}

// briefly is said of an answer that did not count.
var briefly = fmt.Sprintf("somebody has listened, and not been seen to do so for %v", moment)

// String describes the probe.
func (p TCP) String() string {
	what := "an answer on "
	if p.NoConnect {
		what = "a listener on "
	}
	if p.Address == "" {
		return what + "the port"
	}
	all, err := p.places(Target{})
	if err != nil {
		all = []place{{Endpoint: Endpoint{Network: "tcp", Address: p.Address}}}
	}
	return what + anyOf(all)
}

func (p TCP) check() error {
	switch {
	case p.Network != "" && !isTCP(p.Network):
		return fmt.Errorf("readiness.TCP.Network: it is %q, and must be tcp, tcp4 or tcp6", p.Network)
	case p.Network != "" && p.Address == "":
		return fmt.Errorf("readiness.TCP.Network: it is %q, but there is no Address: the endpoint that an earlier probe learned has its own", p.Network)
	case p.Address != "":
		if _, err := p.places(Target{}); err != nil {
			return err
		}
	}
	if err := checkNoConnect("readiness.TCP.NoConnect", p.NoConnect); err != nil {
		return err
	}
	return p.Schedule.check("TCP")
}

// places returns what is dialled.
func (p TCP) places(t Target) ([]place, error) {
	switch {
	case p.Address == "" && t.Endpoint == (Endpoint{}):
		return nil, errors.New("readiness.TCP.Address: it is empty, and no probe before it has learned an endpoint")
	case p.Address == "" && !isTCP(t.Endpoint.Network):
		return nil, fmt.Errorf("readiness.TCP.Address: it is empty, and the endpoint that was learned is %v: use readiness.Socket for it", t.Endpoint)
	case p.Address == "":
		return learnedPlaces(t.Endpoint), nil
	}
	if p.Network == "" {
		p.Network = "tcp"
	}
	all, err := places(Endpoint{Network: p.Network, Address: p.Address})
	if err != nil {
		return nil, fmt.Errorf("readiness.TCP.Address: it is %q: %w", p.Address, err)
	}
	return all, nil
}

// mustNotAnswer makes sure that nobody answers at any of the places yet, which the
// field of the probe called what names.
func mustNotAnswer(ctx context.Context, what, field string, all []place) error {
	// An address answers at once or not at all. We take an address that swallows the
	// attempt for free; only there does this take all its time.
	ctx, cancel := context.WithTimeout(ctx, dialAttempt)
	defer cancel()
	e, err := firstOf(all, func(p place) error { return Socket{}.dial(ctx, Target{Endpoint: p.Endpoint}) })
	if err != nil {
		return nil
	}
	return fmt.Errorf("readiness.%s.%s: %w: somebody answers on %v already, before the pod is started, and would be taken for it; "+
		"end that, or choose another port; if it may answer, set readiness.%s.Shared", what, field, ErrForeignPeer, e, what)
}

// finalDial reports whether dialling over a network will not get better after
// err.
func finalDial(err error) bool {
	if isAnyOf(err, []error{syscall.EHOSTUNREACH, syscall.ENETUNREACH, syscall.EADDRNOTAVAIL, syscall.ECONNRESET, syscall.ECONNABORTED}) || isAnyOf(err, notReachable) {
		return false
	}
	if dns := (*net.DNSError)(nil); errors.As(err, &dns) {
		return dns.IsNotFound
	}
	return !mayGetBetter(err)
}
