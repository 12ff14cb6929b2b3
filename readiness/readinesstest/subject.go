package readinesstest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"iter"
	"os"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/podlaunch/podlaunch/readiness"
	"github.com/podlaunch/podlaunch/runtimedir/conformance"
)

// patience ends a call that hangs. It is a variable for the kit's own tests.
var patience = 10 * time.Second

// moment is how long a rule lets something go on, most of them a wait that
// has begun.
const moment = conformance.Moment / 5

// A subject is the Probe that a rule is about, and what the rule has begun.
type subject struct {
	t       *testing.T // for newCase only
	newCase func(t *testing.T) Case
	label   conformance.Label // of the goroutines that calls into the Probe start

	launches []*launch
	waits    []*wait
}

// close ends everything that the rule has begun. A wait that does not end is left
// behind: there is a rule about that.
func (s *subject) close() {
	for _, w := range s.waits {
		w.stop(conformance.ErrStopped)
	}
	for _, w := range s.waits {
		if !w.Within(patience) {
			return
		}
	}
	for _, l := range s.launches {
		l.over()
	}
}

// A pod is a Case that is complete.
type pod struct {
	Case
	tap *tap
}

// pod returns another one.
func (s *subject) pod() (*pod, error) {
	p := &pod{Case: s.newCase(s.t)}
	if p.Probe == nil || p.Ready == nil {
		return nil, errors.New("the Case is not complete: Probe and Ready are required")
	}
	t := &p.Target
	if t.Name == "" {
		t.Name = "pod"
	}
	if t.RuntimeDir == "" {
		dir, err := os.MkdirTemp("", "rt") // short, for sockets
		if err != nil {
			return nil, err
		}
		s.t.Cleanup(func() { os.RemoveAll(dir) })
		t.RuntimeDir = dir
	}
	if t.WorkDir == "" {
		t.WorkDir = t.RuntimeDir
	}
	if p.Want == (readiness.Endpoint{}) {
		if t.Endpoint == (readiness.Endpoint{}) {
			t.Endpoint = readiness.Endpoint{Network: "unix", Address: "/learned/by/an/earlier/probe"}
		}
		p.Want = t.Endpoint
	}
	if t.Lines == nil {
		t.Lines = new(Log).Lines
	}
	p.tap = &tap{from: t.Lines}
	t.Lines = p.tap.lines
	return p, nil
}

// A launch is a Probe that was prepared for a pod.
type launch struct {
	*pod
	s     *subject
	probe readiness.Probe
	setup *readiness.Setup

	prepared bool // probe is what Prepare has returned
}

// launch returns another pod, and its own Probe prepared for it.
func (s *subject) launch() (*launch, error) {
	p, err := s.pod()
	if err != nil {
		return nil, err
	}
	return s.launchWith(p.Probe, p)
}

// launched is a rule about such a pod.
func launched(rule func(l *launch) error) func(s *subject) error {
	return conformance.With((*subject).launch, rule)
}

// launchMany returns n pods, all for one Probe.
func (s *subject) launchMany(n int) (all []*launch, err error) {
	for range n {
		p, err := s.pod()
		if err != nil {
			return nil, err
		}
		probe := p.Probe
		if len(all) > 0 {
			probe = all[0].Probe
		}
		l, err := s.launchWith(probe, p)
		if err != nil {
			return nil, err
		}
		all = append(all, l)
	}
	return all, nil
}

// launchWith prepares probe, if that has to be, for p.
func (s *subject) launchWith(probe readiness.Probe, p *pod) (*launch, error) {
	l := s.unprepared(probe, p)
	return l, l.prepare(context.Background())
}

// unprepared is launchWith without its Prepare.
func (s *subject) unprepared(probe readiness.Probe, p *pod) *launch {
	l := &launch{pod: p, s: s, probe: probe, setup: &readiness.Setup{
		Name:       p.Target.Name,
		RuntimeDir: p.Target.RuntimeDir,
		Extend:     func(time.Duration) {},
		Status:     func(string) {},
	}}
	s.launches = append(s.launches, l)
	return l
}

// prepare prepares the launch's probe, if that has to be.
func (l *launch) prepare(ctx context.Context) error {
	if _, ok := l.probe.(readiness.Preparer); !ok {
		return nil
	}
	var (
		prepared readiness.Probe
		err      error
	)
	if crash := l.s.call("Prepare", func() { prepared, err = readiness.Prepare(ctx, l.probe, l.setup) }); crash != nil {
		return crash
	}
	if err != nil {
		return fmt.Errorf("calling Prepare: %w", err)
	}
	l.probe, l.prepared = prepared, true
	return nil
}

// over ends what Prepare has begun.
func (l *launch) over() {
	l.setup.CloseFiles()
	l.setup.Close()
}

// expect makes sure that w ends by itself, and that the pod is ready.
func (l *launch) expect(w *wait) error {
	if err := w.Join(patience); err != nil {
		return fmt.Errorf("the pod is ready: %w", err)
	}
	if w.err != nil {
		return fmt.Errorf("the pod is ready, and Wait returned the error: %w", w.err)
	}
	if w.endpoint != l.Want {
		return fmt.Errorf("Wait returned %v, want %v", w.endpoint, l.Want)
	}
	return nil
}

// A wait is a call of Wait in a goroutine of its own.
type wait struct {
	*conformance.Call
	what     string
	ctx      context.Context
	stop     context.CancelCauseFunc
	endpoint readiness.Endpoint // these two once it has returned
	err      error
}

// wait calls Wait for l's pod.
func (l *launch) wait() *wait { return l.waitFor(context.Background(), l.Target) }

// waitUntilReady calls Wait, and makes the pod ready a moment later. The wait is
// not asked whether it has returned in that moment; see the rule "waits".
func (l *launch) waitUntilReady() *wait {
	w := l.wait()
	w.Within(moment)
	l.Ready(l.setup)
	return w
}

func (l *launch) waitFor(ctx context.Context, t readiness.Target) *wait {
	return l.waitAs("Wait", ctx, t)
}

// waitAs is waitFor under another name, for errors.
func (l *launch) waitAs(what string, ctx context.Context, t readiness.Target) *wait {
	w := &wait{what: what}
	w.ctx, w.stop = context.WithCancelCause(ctx)
	w.Call = l.s.begin(what, func() { w.endpoint, w.err = l.probe.Wait(w.ctx, t) })
	l.s.waits = append(l.s.waits, w)
	return w
}

// end ends the wait with ctx, and returns what Wait did; a crash, or that it has
// not returned, is the second.
func (w *wait) end() (err, crash error) {
	w.stop(conformance.ErrStopped)
	if crash = w.Join(patience); crash != nil {
		return nil, fmt.Errorf("ctx is done: %w", crash)
	}
	return w.err, nil
}

// cut lets the wait go on for a moment before its end.
func (w *wait) cut() (err, crash error) {
	w.Within(moment)
	return w.end()
}

// wraps makes sure that the wait's error wraps cause.
func (w *wait) wraps(cause error) error {
	if crash := w.Join(patience); crash != nil {
		return fmt.Errorf("ctx is done: %w", crash)
	}
	if w.err == nil {
		return fmt.Errorf("ctx is done and the pod is not ready, and Wait returned %v without an error", w.endpoint)
	}
	if !errors.Is(w.err, cause) {
		return fmt.Errorf("ctx is done because of %q, which errors.Is does not find in the error of Wait: %w", cause, w.err)
	}
	return nil
}

// begin begins a call into the Probe. Its goroutine, and those that it starts,
// have the subject's label.
func (s *subject) begin(what string, f func()) *conformance.Call {
	label := s.label
	return conformance.Go(what, func() { label.Set(); f() })
}

// call makes a call and waits for it.
func (s *subject) call(what string, f func()) error { return s.begin(what, f).Join(patience) }

// floodLine is how many bytes a line of a flood has.
const floodLine = 512

// A tap sees how a pod's lines are read.
type tap struct {
	from func(ctx context.Context) iter.Seq2[[]byte, error]

	// How it is changed for a rule.
	scramble bool  // a line is gone once the next one is asked for
	fail     error // comes instead of the lines
	cut      bool  // there are no lines
	flood    int   // so many lines come instead, and then none until ctx is done

	mu       sync.Mutex
	contexts []context.Context // with which Lines was called
	taken    int               // lines, by all calls
}

func (t *tap) lines(ctx context.Context) iter.Seq2[[]byte, error] {
	t.mu.Lock()
	t.contexts = append(t.contexts, ctx)
	t.mu.Unlock()
	return func(yield func([]byte, error) bool) {
		if t.fail != nil {
			yield(nil, t.fail)
		}
		if t.fail != nil || t.cut {
			return
		}
		if t.flood > 0 {
			t.pour(ctx, yield)
			return
		}
		for line, err := range t.from(ctx) {
			if !t.pass(line, err, yield) {
				return
			}
		}
	}
}

// pour yields the flood. No two lines are the same.
func (t *tap) pour(ctx context.Context, yield func([]byte, error) bool) {
	line := bytes.Repeat([]byte("."), floodLine)
	for i := range t.flood {
		copy(line, strconv.Itoa(i))
		if !t.pass(line, nil, yield) {
			return
		}
	}
	<-ctx.Done()
	yield(nil, context.Cause(ctx))
}

// count returns how many lines were taken.
func (t *tap) count() int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.taken
}

// pass yields one line.
func (t *tap) pass(line []byte, err error, yield func([]byte, error) bool) bool {
	if err == nil {
		t.mu.Lock()
		t.taken++
		t.mu.Unlock()
	}
	if !t.scramble || line == nil {
		return yield(line, err)
	}
	line = slices.Clone(line)
	defer func() {
		for i := range line {
			line[i] = '#'
		}
	}()
	return yield(line, err)
}

// read returns the contexts with which the lines were read.
func (t *tap) read() []context.Context {
	t.mu.Lock()
	defer t.mu.Unlock()
	return slices.Clone(t.contexts)
}
