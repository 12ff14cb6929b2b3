package grpchealth_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/health"
	"google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/status"

	"github.com/podlaunch/podlaunch/examples/grpchealth"
	"github.com/podlaunch/podlaunch/launcher"
	"github.com/podlaunch/podlaunch/readiness"
	"github.com/podlaunch/podlaunch/readiness/readinesstest"
	"github.com/podlaunch/podlaunch/runtimedir"
)

const (
	serving = grpc_health_v1.HealthCheckResponse_SERVING
	not     = grpc_health_v1.HealthCheckResponse_NOT_SERVING
)

// This binary, called with a path, is a pod that serves there.
func TestMain(m *testing.M) {
	if len(os.Args) == 3 && os.Args[1] == "pod" {
		l, err := net.Listen("unix", os.Args[2])
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		s, h := grpc.NewServer(), health.NewServer()
		grpc_health_v1.RegisterHealthServer(s, h)
		h.SetServingStatus("store", serving)
		fmt.Fprintln(os.Stderr, s.Serve(l))
		os.Exit(1)
	}
	os.Setenv("GORACE", "atexit_sleep_ms=0")
	goleak.VerifyTestMain(m)
}

// serve serves the health of a server on a socket until the test ends.
func serve(t *testing.T, network string, options ...grpc.ServerOption) (*health.Server, readiness.Target) {
	t.Helper()
	h := health.NewServer()
	s := grpc.NewServer(options...)
	grpc_health_v1.RegisterHealthServer(s, h)
	return h, start(t, s, network)
}

// start has s listen, and returns the pod that has learned where.
func start(t *testing.T, s *grpc.Server, network string) readiness.Target {
	t.Helper()
	dir, err := os.MkdirTemp("", "g") // short, for a socket
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	l, err := net.Listen(network, map[string]string{"unix": filepath.Join(dir, "sock"), "tcp": "127.0.0.1:0"}[network])
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		// A test without an attempt can be over before Serve has begun.
		if err := s.Serve(l); err != nil && !errors.Is(err, grpc.ErrServerStopped) {
			t.Error(err)
		}
	}()
	t.Cleanup(func() { s.Stop(); <-done })
	return readiness.Target{Name: "pod", Endpoint: readiness.Endpoint{Network: network, Address: l.Addr().String()}}
}

// errOver is why the waiting ends in until.
var errOver = errors.New("given up")

// until waits for p until so many attempts have failed.
func until(t *testing.T, failed int, p grpchealth.Probe, target readiness.Target) error {
	t.Helper()
	ctx, cancel := context.WithCancelCause(t.Context())
	defer cancel(nil)
	n := 0
	p.Final = func(error) bool {
		if n++; n == failed {
			cancel(errOver)
		}
		return false
	}
	_, err := p.Wait(ctx, target)
	return err
}

// A server that is serving is ready, the whole of it or one service, on a port
// or a unix socket, and the endpoint is where it was asked.
func TestServing(t *testing.T) {
	for _, network := range []string{"tcp", "unix"} {
		h, target := serve(t, network)
		h.SetServingStatus("store", serving)
		for _, p := range []grpchealth.Probe{{}, {Service: "store"}, {Service: "store", Schedule: readiness.Schedule{Successes: 3}}} {
			e, err := p.Wait(t.Context(), target)
			if err != nil || e != target.Endpoint {
				t.Errorf("%v: got %v, %v", p, e, err)
			}
		}
	}
	_, target := serve(t, "tcp")
	e, err := grpchealth.Probe{Address: target.Endpoint.Address}.Wait(t.Context(), readiness.Target{})
	if err != nil || e != target.Endpoint {
		t.Errorf("got %v, %v", e, err)
	}
}

// What may get better is tried again, and told: a service that is not serving,
// or not known, and a server that is not there.
func TestAgain(t *testing.T) {
	h, target := serve(t, "unix")
	h.SetServingStatus("store", not)
	gone := target
	gone.Endpoint.Address += "2"
	for _, c := range []struct {
		service string
		target  readiness.Target
		says    string
	}{
		{"store", target, `the gRPC service "store" is NOT_SERVING`},
		{"unknown", target, "code = NotFound"},
		{"", gone, "no such file"},
	} {
		err := until(t, 3, grpchealth.Probe{Service: c.service}, c.target)
		var p *readiness.PendingError
		if !errors.As(err, &p) || p.Attempts != 3 || !errors.Is(err, errOver) || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%q: got %v", c.service, err)
		}
	}
	probe := grpchealth.Probe{Service: "late"}
	probe.Final = func(err error) bool {
		if status.Code(err) != codes.NotFound {
			t.Errorf("got %v", err)
		}
		h.SetServingStatus("late", serving)
		return false
	}
	if _, err := probe.Wait(t.Context(), target); err != nil {
		t.Error(err)
	}
}

// Errors that will not get better are final: the server does not know the protocol,
// the server refuses us, the certificate is not valid.
func TestFinal(t *testing.T) {
	guard := func(code codes.Code) grpc.ServerOption {
		return grpc.UnaryInterceptor(func(context.Context, any, *grpc.UnaryServerInfo, grpc.UnaryHandler) (any, error) {
			return nil, status.Error(code, "not you")
		})
	}
	_, unauthenticated := serve(t, "unix", guard(codes.Unauthenticated))
	_, denied := serve(t, "unix", guard(codes.PermissionDenied))
	secure, _ := certificate(t)
	_, other := serve(t, "tcp", secure)
	for _, c := range []struct {
		p      grpchealth.Probe
		target readiness.Target
		says   string
	}{
		{grpchealth.Probe{}, start(t, grpc.NewServer(), "unix"), "Unimplemented"},
		{grpchealth.Probe{}, unauthenticated, "Unauthenticated"},
		{grpchealth.Probe{}, denied, "PermissionDenied"},
		{grpchealth.Probe{TLS: &tls.Config{}}, other, "certificate"},
	} {
		_, err := c.p.Wait(t.Context(), c.target)
		var p *readiness.PendingError
		if err == nil || errors.As(err, &p) || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: got %v", c.says, err)
		}
	}
}

// certificate returns a server's credentials, and the roots to know it by.
func certificate(t *testing.T) (grpc.ServerOption, *x509.CertPool) {
	t.Helper()
	s := httptest.NewTLSServer(nil)
	defer s.Close()
	roots := x509.NewCertPool()
	roots.AddCert(s.Certificate())
	return grpc.Creds(credentials.NewServerTLSFromCert(&s.TLS.Certificates[0])), roots
}

// A server with TLS passes if its certificate is known.
func TestTLS(t *testing.T) {
	secure, roots := certificate(t)
	for _, network := range []string{"tcp", "unix"} {
		_, target := serve(t, network, secure)
		config := &tls.Config{RootCAs: roots, ServerName: "example.com"}
		if _, err := (grpchealth.Probe{TLS: config}).Wait(t.Context(), target); err != nil {
			t.Errorf("%s: %v", network, err)
		}
	}
}

// A server that does not answer costs what one attempt may take, and the end of
// the wait ends an attempt.
func TestHangs(t *testing.T) {
	release := make(chan struct{})
	asked := make(chan struct{}, 10)
	_, target := serve(t, "unix", grpc.UnaryInterceptor(func(context.Context, any, *grpc.UnaryServerInfo, grpc.UnaryHandler) (any, error) {
		asked <- struct{}{}
		<-release
		return nil, status.Error(codes.Aborted, "too late")
	}))
	defer close(release)
	err := until(t, 2, grpchealth.Probe{Schedule: readiness.Schedule{Attempt: 100 * time.Millisecond}}, target)
	if !errors.Is(err, errOver) || !strings.Contains(err.Error(), "no answer within 100ms") {
		t.Errorf("got %v", err)
	}
	for len(asked) > 0 {
		<-asked
	}
	ctx, cancel := context.WithCancelCause(t.Context())
	go func() {
		<-asked
		cancel(errOver)
	}()
	if _, err := (grpchealth.Probe{Schedule: readiness.Schedule{Attempt: time.Hour}}).Wait(ctx, target); !errors.Is(err, errOver) {
		t.Errorf("got %v", err)
	}
}

// What makes no sense is refused with the field's name: before the launch where
// it can be known.
func TestRefused(t *testing.T) {
	_, taken := serve(t, "tcp")
	for address, says := range map[string]string{
		taken.Endpoint.Address: "before the pod is started",
		"127.0.0.1:0":          "the port 0",
		"127.0.0.1":            "missing port",
	} {
		_, err := readiness.Prepare(t.Context(), grpchealth.Probe{Address: address}, &readiness.Setup{})
		if err == nil || !strings.Contains(err.Error(), "grpchealth.Probe.Address") || !strings.Contains(err.Error(), says) {
			t.Errorf("%s: got %v", address, err)
		}
	}
	for _, p := range []grpchealth.Probe{{}, {Address: taken.Endpoint.Address, Shared: true}} {
		if _, err := readiness.Prepare(t.Context(), p, &readiness.Setup{}); err != nil {
			t.Errorf("%+v: %v", p, err)
		}
	}
	_, err := grpchealth.Probe{}.Wait(t.Context(), readiness.Target{})
	if err == nil || !strings.Contains(err.Error(), "grpchealth.Probe.Address") {
		t.Errorf("got %v", err)
	}
}

// A pod is launched with it.
func TestLaunch(t *testing.T) {
	base, err := os.MkdirTemp("", "g")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(base) })
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	l := launcher.Launcher{
		Command: launcher.Exec(self, "pod", filepath.Join(base, "store", "sock")),
		Dir:     runtimedir.Dir(base),
		Ready:   readiness.Sequence{readiness.Unix{}, grpchealth.Probe{Service: "store"}},
		Timeout: time.Minute,
	}
	pod, err := l.Launch(t.Context(), launcher.Spec{Name: "store"})
	if err != nil {
		t.Fatal(err)
	}
	if e := pod.Endpoint(); e.Network != "unix" {
		t.Errorf("the endpoint is %v", e)
	}
	if err := pod.Stop(t.Context()); err != nil {
		t.Error(err)
	}
}

// The probe keeps the contract of every probe.
func TestKit(t *testing.T) {
	readinesstest.Test(t, func(t *testing.T) readinesstest.Case {
		h, target := serve(t, "unix")
		h.SetServingStatus("store", not)
		return readinesstest.Case{
			Probe:  grpchealth.Probe{Service: "store"},
			Target: target,
			Ready:  func(*readiness.Setup) { h.SetServingStatus("store", serving) },
			Want:   target.Endpoint,
		}
	})
}
