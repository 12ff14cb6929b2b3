// Package grpchealth is a probe for pods that serve the health checking protocol of gRPC
// (grpc.health.v1.Health). It is built like any probe of your own: a check, and
// [readiness.Poll] around it.
//
//	launcher.Launcher{Ready: readiness.Sequence{
//		readiness.Unix{},
//		grpchealth.Probe{Service: "store.v1.Store"},
//	}}
package grpchealth

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"strings"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/status"

	"github.com/podlaunch/podlaunch/readiness"
)

// A Probe asks a server for the health of a service until it is SERVING. Each
// attempt opens its own connection and closes it again, without a proxy. The zero
// value asks for the health of the whole server, at the endpoint that an earlier
// probe learned: a port, or a unix socket.
//
// It tries again while the server cannot be reached, is NOT_SERVING, or does not
// know the service: many servers register their services one by one once they
// listen, so NOT_FOUND may get better. These errors are final, unless
// Schedule.Final says otherwise: the server does not know the protocol
// (UNIMPLEMENTED), the server refuses us (UNAUTHENTICATED, PERMISSION_DENIED), the
// certificate is not valid.
type Probe struct {
	// Service is the service whose health the probe asks for. Empty means the whole
	// server.
	Service string

	// Address is host:port. Empty means the endpoint that an earlier probe learned. If a
	// process answers there before the pod starts, the launch fails, as with
	// [readiness.TCP].
	Address string

	// Shared allows another process to answer on Address before the pod starts.
	Shared bool

	// TLS configures TLS. The probe does not change it. Nil means plain text.
	TLS *tls.Config

	// Schedule of the attempts. By default an attempt takes two seconds at most. The
	// first pause is about 10 ms, and pauses grow up to 250 ms.
	readiness.Schedule
}

var (
	_ readiness.Probe    = Probe{}
	_ readiness.Preparer = Probe{}
)

// Prepare implements [readiness.Preparer]: it makes sure that no process answers on
// Address.
func (p Probe) Prepare(ctx context.Context, s *readiness.Setup) (readiness.Probe, error) {
	if p.Address == "" {
		return p, nil
	}
	if _, err := (readiness.TCP{Address: p.Address, Shared: p.Shared}).Prepare(ctx, s); err != nil {
		return nil, fmt.Errorf("grpchealth.Probe.Address: %w", err)
	}
	return p, nil
}

// Wait implements [readiness.Probe]. The error is a [*readiness.PendingError]
// once ctx is done.
func (p Probe) Wait(ctx context.Context, t readiness.Target) (readiness.Endpoint, error) {
	at := t.Endpoint
	if p.Address != "" {
		at = readiness.Endpoint{Network: "tcp", Address: p.Address}
	}
	if at == (readiness.Endpoint{}) {
		return at, errors.New("grpchealth.Probe.Address: it is empty, and no probe before it has learned an endpoint")
	}
	schedule := p.Schedule
	schedule.First = cmp.Or(schedule.First, 10*time.Millisecond)
	schedule.Max = cmp.Or(schedule.Max, 250*time.Millisecond)
	schedule.Attempt = cmp.Or(schedule.Attempt, 2*time.Second)
	if schedule.Final == nil {
		schedule.Final = final
	}
	return readiness.Poll{
		What:     fmt.Sprintf("%v at %v", p, at),
		Check:    func(ctx context.Context, _ readiness.Target) (readiness.Endpoint, error) { return at, p.check(ctx, at) },
		Schedule: schedule,
	}.Wait(ctx, t)
}

// String describes the probe.
func (p Probe) String() string { return "the health of " + p.service() }

func (p Probe) service() string {
	if p.Service == "" {
		return "the gRPC server"
	}
	return fmt.Sprintf("the gRPC service %q", p.Service)
}

// check makes one attempt.
func (p Probe) check(ctx context.Context, at readiness.Endpoint) error {
	security := insecure.NewCredentials()
	if p.TLS != nil {
		security = credentials.NewTLS(p.TLS) // which clones it
	}
	host := at.Address
	if !strings.HasPrefix(at.Network, "tcp") {
		host = "localhost"
	}
	conn, err := grpc.NewClient("passthrough:///"+host,
		grpc.WithTransportCredentials(security),
		grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) {
			var d net.Dialer
			return d.DialContext(ctx, at.Network, at.Address)
		}),
		grpc.WithNoProxy(),
		grpc.WithDisableServiceConfig(),
	)
	if err != nil {
		return readiness.Final(fmt.Errorf("grpchealth.Probe: %w", err))
	}
	defer conn.Close()
	answer, err := grpc_health_v1.NewHealthClient(conn).Check(ctx, &grpc_health_v1.HealthCheckRequest{Service: p.Service})
	switch {
	case err != nil:
		return fmt.Errorf("ask %v for %v: %w", at, p, err)
	case answer.GetStatus() != grpc_health_v1.HealthCheckResponse_SERVING:
		return fmt.Errorf("%s is %v", p.service(), answer.GetStatus())
	}
	return nil
}

// final reports whether err will not get better by asking again.
func final(err error) bool {
	switch status.Code(err) {
	case codes.Unimplemented, codes.Unauthenticated, codes.PermissionDenied:
		return true
	case codes.Unavailable: // all that gRPC tells of a handshake is text
		return strings.Contains(err.Error(), "tls: failed to verify certificate")
	}
	return false
}
