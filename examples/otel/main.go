// Command otel shows launches as spans and metrics, with OpenTelemetry. It
// writes them to stdout and so needs no collector; another exporter changes
// nothing else. It is its own pod. The interesting file is observer.go.
//
//	go run .          a pod that becomes ready
//	go run . -fail    a pod that does not
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"

	"go.opentelemetry.io/otel/exporters/stdout/stdoutmetric"
	"go.opentelemetry.io/otel/exporters/stdout/stdouttrace"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"

	"github.com/podlaunch/podlaunch/launcher"
	"github.com/podlaunch/podlaunch/readiness"
	"github.com/podlaunch/podlaunch/runtimedir"
)

func main() {
	if len(os.Args) > 1 && os.Args[1] == "pod" {
		exit(pod(os.Args[len(os.Args)-1]))
	}
	fails := flag.Bool("fail", false, "launch a pod that does not become ready")
	flag.Parse()
	exit(run(context.Background(), os.Stdout, *fails))
}

func exit(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, "fatal:", err)
		os.Exit(1)
	}
	os.Exit(0)
}

// run launches a pod, stops it, and writes to w what was observed.
func run(ctx context.Context, w io.Writer, fails bool) (err error) {
	spans, err1 := stdouttrace.New(stdouttrace.WithWriter(w))
	metrics, err2 := stdoutmetric.New(stdoutmetric.WithWriter(w))
	if err := errors.Join(err1, err2); err != nil {
		return err
	}
	tracers := sdktrace.NewTracerProvider(sdktrace.WithBatcher(spans))
	meters := sdkmetric.NewMeterProvider(sdkmetric.WithReader(sdkmetric.NewPeriodicReader(metrics)))
	defer func() { err = errors.Join(err, tracers.Shutdown(ctx), meters.Shutdown(ctx)) }() // writes what there is
	observer, err := newObserver(tracers, meters)
	if err != nil {
		return err
	}
	base, err := os.MkdirTemp("", "otel")
	if err != nil {
		return err
	}
	defer os.RemoveAll(base)
	l := launcher.Launcher{
		Command:  traced{launcher.Self{Args: []string{"pod"}}},
		Dir:      runtimedir.Dir(base),
		Observer: observer,
	}

	ctx, span := tracers.Tracer(scope).Start(ctx, "the work of this program")
	defer span.End()
	p, err := launch(ctx, &l, base, fails)
	if err != nil {
		return err
	}
	return p.Stop(ctx)
}

// launch launches the pod, whose last argument is where it listens.
func launch(ctx context.Context, l *launcher.Launcher, base string, fails bool) (*launcher.Pod, error) {
	socket := filepath.Join(base, "alice", "sock")
	if fails {
		socket = "nowhere"
	}
	return l.Launch(ctx, launcher.Spec{Name: "alice", Args: []string{socket}})
}

// pod is what this program does as a pod.
func pod(socket string) error {
	fmt.Fprintln(os.Stderr, "TRACEPARENT is", os.Getenv("TRACEPARENT"))
	if socket == "nowhere" {
		return errors.New("there is no model")
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	l, err := net.Listen("unix", socket)
	if err != nil {
		return err
	}
	defer l.Close()
	if err := readiness.Announce(os.Stderr, "alice", socket); err != nil {
		return err
	}
	<-ctx.Done()
	return nil
}
