//go:build linux

package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"go.opentelemetry.io/otel/trace"

	"github.com/podlaunch/podlaunch/examples/internal/exampletest"
	"github.com/podlaunch/podlaunch/launcher"
	"github.com/podlaunch/podlaunch/logsource"
	"github.com/podlaunch/podlaunch/readiness"
	"github.com/podlaunch/podlaunch/runtimedir"
)

// The test binary plays the pods. Another package could not call newObserver.
func TestMain(m *testing.M) {
	os.Setenv("GORACE", "atexit_sleep_ms=0") // or a pod that ends lingers
	if len(os.Args) > 1 && os.Args[1] == "pod" {
		exit(pod(os.Args[len(os.Args)-1]))
	}
	os.Exit(m.Run())
}

// A lab launches pods, and collects what is observed of them in memory.
type lab struct {
	t       *testing.T
	base    string
	l       launcher.Launcher
	spans   *tracetest.InMemoryExporter
	tracers *sdktrace.TracerProvider
	reader  *sdkmetric.ManualReader
}

func newLab(t *testing.T) *lab {
	t.Helper()
	base, err := os.MkdirTemp("", "lab") // short, for sockets
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(base) })
	m := &lab{t: t, base: base, spans: tracetest.NewInMemoryExporter(), reader: sdkmetric.NewManualReader()}
	m.tracers = sdktrace.NewTracerProvider(sdktrace.WithSyncer(m.spans))
	observer, err := newObserver(m.tracers, sdkmetric.NewMeterProvider(sdkmetric.WithReader(m.reader)))
	if err != nil {
		t.Fatal(err)
	}
	m.l = launcher.Launcher{
		Command:  traced{launcher.Self{Args: []string{"pod"}}},
		Dir:      runtimedir.Dir(base),
		Timeout:  time.Minute,
		Observer: observer,
	}
	return m
}

// launch launches a pod below a span of the caller's, and stops it.
func (m *lab) launch(ctx context.Context, fails bool) error {
	ctx, caller := m.tracers.Tracer("test").Start(ctx, "caller")
	defer caller.End()
	p, err := launch(ctx, &m.l, m.base, fails)
	if err != nil {
		return err
	}
	if err := p.Stop(context.WithoutCancel(ctx)); err != nil {
		m.t.Error(err)
	}
	return nil
}

// tree returns the names of all spans in the order of their beginning, each indented
// by the number of its ancestors; "!" marks a span that has failed.
func (m *lab) tree() []string {
	spans := m.spans.GetSpans()
	slices.SortStableFunc(spans, func(a, b tracetest.SpanStub) int { return a.StartTime.Compare(b.StartTime) })
	var list []string
	var add func(parent trace.SpanID, indent string)
	add = func(parent trace.SpanID, indent string) {
		for _, s := range spans {
			if s.Parent.SpanID() != parent {
				continue
			}
			mark := ""
			if s.Status.Code == codes.Error {
				mark = "!"
			}
			list = append(list, indent+s.Name+mark)
			add(s.SpanContext.SpanID(), indent+"  ")
		}
	}
	add(trace.SpanID{}, "")
	return list
}

// span returns the span called name.
func (m *lab) span(name string) tracetest.SpanStub {
	m.t.Helper()
	for _, s := range m.spans.GetSpans() {
		if s.Name == name {
			return s
		}
	}
	m.t.Fatalf("there is no span %q", name)
	panic("unreachable")
}

// metrics returns each metric's points: how many measurements, or the sum, by
// attributes.
func (m *lab) metrics() map[string]map[string]int {
	m.t.Helper()
	var data metricdata.ResourceMetrics
	if err := m.reader.Collect(context.Background(), &data); err != nil {
		m.t.Fatal(err)
	}
	all := map[string]map[string]int{}
	for _, s := range data.ScopeMetrics {
		for _, metric := range s.Metrics {
			points := map[string]int{}
			all[metric.Name] = points
			switch d := metric.Data.(type) {
			case metricdata.Histogram[float64]:
				for _, p := range d.DataPoints {
					points[p.Attributes.Encoded(attribute.DefaultEncoder())] = int(p.Count)
				}
			case metricdata.Sum[int64]:
				for _, p := range d.DataPoints {
					points[p.Attributes.Encoded(attribute.DefaultEncoder())] = int(p.Value)
				}
			default:
				m.t.Fatalf("%s is a %T", metric.Name, d)
			}
		}
	}
	return all
}

// wantMetrics compares the metrics: of a launch that is over, none is active.
func (m *lab) wantMetrics(outcome string, steps map[string]int) {
	m.t.Helper()
	got := fmt.Sprint(m.metrics())
	want := fmt.Sprint(map[string]map[string]int{
		"podlaunch.launch.active":   {"": 0},
		"podlaunch.launch.duration": {"outcome=" + outcome: 1},
		"podlaunch.step.duration":   steps,
	})
	if got != want {
		m.t.Errorf("the metrics are\n%s\nwant\n%s", got, want)
	}
}

func (m *lab) wantTree(want ...string) {
	m.t.Helper()
	if got := m.tree(); !slices.Equal(got, want) {
		m.t.Errorf("the spans are\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

func attributesOf(s tracetest.SpanStub) map[string]string {
	all := map[string]string{}
	for _, a := range s.Attributes {
		all[string(a.Key)] = a.Value.String()
	}
	return all
}

// A pod that becomes ready: its launch is a child of the caller's span, the
// steps are children of the launch and lie within it, a strategy can add its
// own spans, and the pod receives the launch's span.
func TestReadyPod(t *testing.T) {
	m := newLab(t)
	inner := readiness.Sequence{readiness.ReadyLine{}, readiness.Socket{}}
	m.l.Ready = readiness.ProbeFunc(func(ctx context.Context, target readiness.Target) (readiness.Endpoint, error) {
		ctx, span := m.tracers.Tracer("strategy").Start(ctx, "my probe")
		defer span.End()
		return inner.Wait(ctx, target)
	})
	if err := m.launch(t.Context(), false); err != nil {
		t.Fatal(err)
	}
	launched := m.span("launch")
	// The strategy's own span begins within a step, and is sorted by that.
	tree := slices.DeleteFunc(m.tree(), func(s string) bool { return s == "    my probe" })
	want := []string{"caller", "  launch", "    start workdir", "    dir base", "    resolve command", "    own claim",
		"    dir make", "    log open", "    ready prepare",
		"    start process", "    ready probe", "    own record"}
	if !slices.Equal(tree, want) {
		t.Errorf("the spans are\n%s\nwant\n%s", strings.Join(tree, "\n"), strings.Join(want, "\n"))
	}
	if m.span("my probe").Parent.SpanID() != launched.SpanContext.SpanID() {
		t.Error("the span of a strategy is no child of the launch")
	}
	for _, s := range m.spans.GetSpans() {
		if s.Parent.SpanID() == launched.SpanContext.SpanID() && (s.StartTime.Before(launched.StartTime) || s.EndTime.After(launched.EndTime) || s.EndTime.Before(s.StartTime)) {
			t.Errorf("%s, from %v to %v, is not within the launch, from %v to %v", s.Name, s.StartTime, s.EndTime, launched.StartTime, launched.EndTime)
		}
	}
	got := attributesOf(launched)
	if got["pod.name"] != "alice" || got["pod.launch.id"] == "" || got["pod.launch.outcome"] != "ready" || got["process.pid"] == "" ||
		got["pod.endpoint"] != "unix:"+filepath.Join(m.base, "alice", "sock") {
		t.Errorf("the launch has the attributes %v", got)
	}
	log, err := os.ReadFile(filepath.Join(m.base, "alice", logsource.DefaultName))
	sc := launched.SpanContext
	if told := fmt.Sprintf("TRACEPARENT is 00-%s-%s-01\n", sc.TraceID(), sc.SpanID()); err != nil || !strings.HasPrefix(string(log), told) {
		t.Errorf("the pod says %q, %v; want %q", log, err, told)
	}
	m.wantMetrics("ready", map[string]int{
		"failed=false,pod.launch.stage=start":   2,
		"failed=false,pod.launch.stage=dir":     2,
		"failed=false,pod.launch.stage=resolve": 1,
		"failed=false,pod.launch.stage=own":     2,
		"failed=false,pod.launch.stage=log":     1,
		"failed=false,pod.launch.stage=ready":   2,
	})
}

// A pod that exits before it is ready: the step and the launch have failed, with
// the reason, the exit and the pod's last words.
func TestFailedPod(t *testing.T) {
	m := newLab(t)
	err := m.launch(t.Context(), true)
	if !errors.Is(err, launcher.ErrExitedEarly) {
		t.Fatal(err)
	}
	m.wantTree("caller", "  launch!", "    start workdir", "    dir base", "    resolve command", "    own claim",
		"    dir make", "    log open", "    ready prepare",
		"    start process", "    ready probe!", "    ready clear")
	launched := m.span("launch")
	if launched.Status.Description != err.Error() || len(launched.Events) != 1 {
		t.Errorf("the launch has the status %+v and the events %+v", launched.Status, launched.Events)
	}
	got := attributesOf(launched)
	if got["pod.launch.outcome"] != "exited" || got["pod.launch.stage"] != "ready" || got["process.exit.code"] != "1" || !strings.Contains(got["pod.tail"], "fatal: there is no model") {
		t.Errorf("the launch has the attributes %v", got)
	}
	m.wantMetrics("exited", map[string]int{
		"failed=false,pod.launch.stage=start":   2,
		"failed=false,pod.launch.stage=dir":     2,
		"failed=false,pod.launch.stage=resolve": 1,
		"failed=false,pod.launch.stage=own":     1,
		"failed=false,pod.launch.stage=log":     1,
		"failed=false,pod.launch.stage=ready":   2,
		"failed=true,pod.launch.stage=ready":    1,
	})
}

// A launch that is cancelled is measured although its context is done.
func TestCancelledLaunch(t *testing.T) {
	m := newLab(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := m.launch(ctx, false); !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
	m.wantTree("caller", "  launch!")
	all := m.metrics()
	if got := fmt.Sprint(all["podlaunch.launch.duration"], all["podlaunch.launch.active"]); got != "map[outcome=cancelled:1] map[:0]" {
		t.Errorf("the metrics are %v", got)
	}
}

// An outcome is one of a few words, no matter what the error says.
func TestOutcome(t *testing.T) {
	for want, err := range map[string]error{
		"ready":     nil,
		"running":   launcher.ErrRunning,
		"exited":    launcher.ErrExitedEarly,
		"timeout":   errors.Join(launcher.ErrTimeout, context.DeadlineExceeded),
		"cancelled": context.Canceled,
		"failed":    errors.New("whatever"),
	} {
		if err != nil {
			err = &launcher.Error{Err: err}
		}
		if got := outcome(err); got != want {
			t.Errorf("%v has the outcome %s, want %s", err, got, want)
		}
	}
}

// The program writes the spans of either launch and the metrics to stdout, and
// leaves nothing behind.
func TestProgram(t *testing.T) {
	bin := exampletest.Build(t, ".")
	for outcome, args := range map[string][]string{"ready": nil, "exited": {"-fail"}} {
		t.Run(outcome, func(t *testing.T) {
			r := exampletest.Run(t, bin, nil, args...)
			if failed := r.Code != 0; failed != (args != nil) || failed == (r.Stderr == "") {
				t.Errorf("exit status %d, stderr %q", r.Code, r.Stderr)
			}
			names := map[string]int{}
			metrics := 0
			for d := json.NewDecoder(strings.NewReader(r.Stdout)); ; {
				var one struct {
					Name         string
					ScopeMetrics []any
				}
				err := d.Decode(&one)
				if err == io.EOF {
					break
				}
				if err != nil {
					t.Fatalf("%v:\n%s", err, r.Stdout)
				}
				names[one.Name]++
				metrics += len(one.ScopeMetrics)
			}
			if names["launch"] != 1 || names["start process"] != 1 || names["the work of this program"] != 1 || metrics != 1 || !strings.Contains(r.Stdout, `"`+outcome+`"`) {
				t.Errorf("it wrote:\n%s", r.Stdout)
			}
		})
	}
}
