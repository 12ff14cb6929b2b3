package readiness

import (
	"context"
	"errors"
	"fmt"
	"net"
	"syscall"
	"time"
)

// TCP dials an address until a connection is accepted, and closes it again. The
// zero value dials the endpoint that an earlier probe learned.
//
// Nobody can tell who answers on a port. So somebody who answers on Address
// already before the pod is started makes the launch fail with [ErrForeignPeer]:
// it would be taken for the pod. What remains is a moment: a stranger who takes
// the port between that and the pod's own attempt. A pod that says on its log
// where it listens, having bound the port (see [Pattern]), or one with a unix
// socket (see [Unix]), leaves no such moment.
//
// It tries again while the address refuses, times out, resets, or cannot be
// reached yet. Any other error is final, unless Schedule.Final says otherwise.
type TCP struct {
	// Address is host:port; a host that is empty or stands for all means the
	// loopback. The port must be a number other than 0. Empty means the endpoint
	// that an earlier probe learned.
	Address string

	// Network of Address: "tcp4", "tcp6", or "tcp", which empty means.
	Network string

	// Shared allows that somebody answers on Address before the pod is started:
	// where several pods share a port, or the pod is handed its listener.
	Shared bool

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
	e, _ := p.endpoint(Target{})
	return p, mustNotAnswer(ctx, "TCP", "Address", e)
}

// Wait implements [Probe]. The error is a [*PendingError] once ctx is done.
func (p TCP) Wait(ctx context.Context, t Target) (Endpoint, error) {
	if err := p.check(); err != nil {
		return Endpoint{}, err
	}
	e, err := p.endpoint(t)
	if err != nil {
		return Endpoint{}, err
	}
	return Poll{
		What: "an answer on " + e.String(),
		Check: func(ctx context.Context, _ Target) (Endpoint, error) {
			return e, Socket{}.dial(ctx, Target{Endpoint: e})
		},
		Schedule: p.Schedule.or(Schedule{Attempt: dialAttempt, Final: finalDial}),
	}.Wait(ctx, t)
}

// String describes the probe.
func (p TCP) String() string {
	if p.Address == "" {
		return "an answer on the port"
	}
	e, err := p.endpoint(Target{})
	if err != nil {
		e = Endpoint{Network: "tcp", Address: p.Address}
	}
	return "an answer on " + e.String()
}

func (p TCP) check() error {
	switch {
	case p.Network != "" && !isTCP(p.Network):
		return fmt.Errorf("readiness.TCP.Network: it is %q, and must be tcp, tcp4 or tcp6", p.Network)
	case p.Network != "" && p.Address == "":
		return fmt.Errorf("readiness.TCP.Network: it is %q, but there is no Address: the endpoint that an earlier probe learned has its own", p.Network)
	case p.Address != "":
		if _, err := p.endpoint(Target{}); err != nil {
			return err
		}
	}
	return p.Schedule.check("TCP")
}

// endpoint returns what is dialled.
func (p TCP) endpoint(t Target) (Endpoint, error) {
	switch {
	case p.Address == "" && t.Endpoint == (Endpoint{}):
		return Endpoint{}, errors.New("readiness.TCP.Address: it is empty, and no probe before it has learned an endpoint")
	case p.Address == "" && !isTCP(t.Endpoint.Network):
		return Endpoint{}, fmt.Errorf("readiness.TCP.Address: it is empty, and the endpoint that was learned is %v: use readiness.Socket for it", t.Endpoint)
	case p.Address == "":
		return t.Endpoint, nil
	}
	address, err := loopback(p.Address)
	if err != nil {
		return Endpoint{}, fmt.Errorf("readiness.TCP.Address: it is %q: %w", p.Address, err)
	}
	if p.Network == "" {
		p.Network = "tcp"
	}
	return Endpoint{Network: p.Network, Address: address}, nil
}

// mustNotAnswer makes sure that nobody answers on e yet, which the field of the
// probe called what names.
func mustNotAnswer(ctx context.Context, what, field string, e Endpoint) error {
	// It is answered at once or not at all: an address that swallows the attempt
	// is free as far as anybody can tell. Only there does this take all its time.
	ctx, cancel := context.WithTimeout(ctx, dialAttempt)
	defer cancel()
	if err := (Socket{}).dial(ctx, Target{Endpoint: e}); err != nil {
		return nil
	}
	return fmt.Errorf("readiness.%s.%s: %w: somebody answers on %v already, before the pod is started, and would be taken for it; "+
		"end that, or choose another port; if it may answer, set readiness.%s.Shared", what, field, ErrForeignPeer, e, what)
}

// finalDial reports whether dialling over a network will not get better after
// err.
func finalDial(err error) bool {
	for _, errno := range []error{syscall.EHOSTUNREACH, syscall.ENETUNREACH, syscall.EADDRNOTAVAIL, syscall.ECONNRESET, syscall.ECONNABORTED} {
		if errors.Is(err, errno) {
			return false
		}
	}
	if dns := (*net.DNSError)(nil); errors.As(err, &dns) {
		return dns.IsNotFound
	}
	return !mayGetBetter(err)
}
