package main

import (
	"context"
	"errors"
	"os"
	"strings"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"

	"github.com/podlaunch/podlaunch/launcher"
)

// scope is who has measured.
const scope = "github.com/podlaunch/podlaunch/examples/otel"

// seconds are the bounds of histograms: a step takes microseconds, and a launch
// may take as long as a pod needs to load what it serves.
var seconds = metric.WithExplicitBucketBoundaries(.0001, .001, .01, .1, .5, 1, 2.5, 5, 10, 20, 60)

// newObserver makes spans and metrics of launches. It may be shared by any
// number of Launchers.
//
// A launch is a span, a child of the span in the caller's context. Each step is a
// child of the launch's span, and so is a span that a strategy makes from its own
// context.
func newObserver(tracers trace.TracerProvider, meters metric.MeterProvider) (*launcher.Observer, error) {
	tracer, meter := tracers.Tracer(scope), meters.Meter(scope)
	launches, err1 := meter.Float64Histogram("podlaunch.launch.duration", seconds, metric.WithUnit("s"),
		metric.WithDescription("From the call of Launch to its end, by outcome."))
	steps, err2 := meter.Float64Histogram("podlaunch.step.duration", seconds, metric.WithUnit("s"),
		metric.WithDescription("Each step of a launch, by stage."))
	active, err3 := meter.Int64UpDownCounter("podlaunch.launch.active", metric.WithUnit("{launch}"),
		metric.WithDescription("Launches that are going on."))
	if err := errors.Join(err1, err2, err3); err != nil {
		return nil, err
	}
	return &launcher.Observer{
		Start: func(ctx context.Context, l launcher.LaunchInfo) context.Context {
			active.Add(ctx, 1)
			ctx, _ = tracer.Start(ctx, "launch", trace.WithTimestamp(l.Began), trace.WithAttributes(
				attribute.String("pod.name", l.Name), attribute.String("pod.launch.id", l.ID.String())))
			return ctx
		},
		Step: func(ctx context.Context, s launcher.StepInfo) {
			stage := attribute.String("pod.launch.stage", string(s.Stage))
			_, span := tracer.Start(ctx, string(s.Stage)+" "+s.Name, trace.WithTimestamp(s.Began), trace.WithAttributes(stage))
			fail(span, s.Err)
			span.End(trace.WithTimestamp(s.Began.Add(s.Took)))
			steps.Record(ctx, s.Took.Seconds(), metric.WithAttributes(stage, attribute.Bool("failed", s.Err != nil)))
		},
		End: func(ctx context.Context, e launcher.EndInfo) {
			span := trace.SpanFromContext(ctx)
			span.SetAttributes(about(e)...)
			fail(span, e.Err)
			span.End()
			active.Add(ctx, -1)
			launches.Record(ctx, e.Took.Seconds(), metric.WithAttributes(attribute.String("outcome", outcome(e.Err))))
		},
	}, nil
}

// fail marks a span as failed, if it is.
func fail(span trace.Span, err error) {
	if err != nil {
		span.RecordError(err)
		span.SetStatus(codes.Error, err.Error())
	}
}

// outcome is one of few words, as the attribute of a metric has to be.
func outcome(err error) string {
	switch {
	case err == nil:
		return "ready"
	case errors.Is(err, launcher.ErrRunning):
		return "running" // somebody else's; see Launcher.Ensure
	case errors.Is(err, launcher.ErrExitedEarly):
		return "exited"
	case errors.Is(err, launcher.ErrTimeout):
		return "timeout"
	case errors.Is(err, context.Canceled):
		return "cancelled"
	}
	return "failed"
}

// about returns the attributes of a launch that has ended.
func about(e launcher.EndInfo) []attribute.KeyValue {
	all := []attribute.KeyValue{attribute.String("pod.launch.outcome", outcome(e.Err))}
	if e.Pod != nil {
		return append(all, attribute.Int("process.pid", e.Pod.PID()), attribute.String("pod.endpoint", e.Pod.Endpoint().String()))
	}
	var failed *launcher.Error
	if errors.As(e.Err, &failed) {
		all = append(all, attribute.String("pod.launch.stage", string(failed.Stage)), attribute.StringSlice("pod.tail", failed.Tail))
		if failed.Exit != nil {
			all = append(all, attribute.Int("process.exit.code", failed.Exit.Code))
		}
	}
	return all
}

// traced passes the span of the launch to the pod, as the value of $TRACEPARENT. A pod
// that reads it can make its own spans children of that span.
type traced struct{ launcher.CommandResolver }

func (t traced) ResolveCommand(ctx context.Context, req launcher.Request) (launcher.Command, error) {
	cmd, err := t.CommandResolver.ResolveCommand(ctx, req)
	if cmd.Env == nil {
		cmd.Env = os.Environ()
	}
	carrier := propagation.MapCarrier{}
	propagation.TraceContext{}.Inject(ctx, carrier)
	for key, value := range carrier {
		cmd.Env = append(cmd.Env, strings.ToUpper(key)+"="+value)
	}
	return cmd, err
}
