package readinesstest

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"strings"
	"time"
	"unicode"

	"github.com/podlaunch/podlaunch/readiness"
	"github.com/podlaunch/podlaunch/runtimedir/conformance"
)

func ready(l *launch) error {
	return l.becomesReady(1)
}

func waits(l *launch) error {
	if w := l.wait(); w.Within(conformance.Moment) {
		return fmt.Errorf("the pod is not ready, and Wait returned %v, %w", w.endpoint, w.outcome())
	}
	return nil
}

func ends(l *launch) error {
	w := l.wait()
	_, crash := w.cut()
	return crash
}

func already(l *launch) error {
	l.Ready(l.setup)
	return l.expect(l.wait())
}

func cause(s *subject) error {
	type ending struct {
		how string
		*wait
		ctx    context.Context
		cancel context.CancelFunc
	}
	var all []ending
	for _, how := range []struct {
		name string
		ctx  func() (context.Context, context.CancelFunc)
	}{
		{"cancelled", func() (context.Context, context.CancelFunc) {
			return context.WithCancel(context.Background())
		}},
		{"cancelled with a cause", func() (context.Context, context.CancelFunc) {
			ctx, cancel := context.WithCancelCause(context.Background())
			return ctx, func() { cancel(conformance.ErrStopped) }
		}},
		{"its deadline has passed", func() (context.Context, context.CancelFunc) {
			return context.WithTimeout(context.Background(), 2*moment)
		}},
		{"its deadline has passed, with a cause", func() (context.Context, context.CancelFunc) {
			return context.WithTimeoutCause(context.Background(), 2*moment, conformance.ErrStopped)
		}},
	} {
		l, err := s.launch()
		if err != nil {
			return err
		}
		ctx, cancel := how.ctx()
		defer cancel()
		all = append(all, ending{how.name, l.waitFor(ctx, l.Target), ctx, cancel})
	}
	all[0].Within(moment)
	for _, w := range all {
		if _, timed := w.ctx.Deadline(); timed {
			<-w.ctx.Done()
		}
		w.cancel()
		if err := w.wraps(context.Cause(w.ctx)); err != nil {
			return fmt.Errorf("%s: %w", w.how, err)
		}
	}
	return nil
}

func doneBefore(l *launch) error {
	return l.waitFor(conformance.Stopped(), l.Target).wraps(conformance.ErrStopped)
}

func late(l *launch) error {
	l.Ready(l.setup)
	w := l.waitFor(conformance.Stopped(), l.Target)
	if err := w.Join(patience); err != nil {
		return err
	}
	if w.err != nil {
		return w.wraps(conformance.ErrStopped)
	}
	return l.expect(w)
}

func fails(l *launch) error {
	if l.Fail == nil {
		return conformance.Inapplicable("the Case has no Fail")
	}
	w := l.wait()
	w.Within(moment)
	l.Fail(l.setup)
	if err := w.Join(patience); err != nil {
		return fmt.Errorf("the pod will never be ready: %w", err)
	}
	if w.err == nil {
		return fmt.Errorf("the pod will never be ready, and Wait returned %v without an error", w.endpoint)
	}
	return inOneLine("the error of Wait", w.err.Error())
}

func together(s *subject) error {
	const pods = 4
	p, err := s.pod()
	if err != nil {
		return err
	}
	if _, ok := p.Probe.(readiness.Preparer); ok {
		return conformance.Inapplicable("every pod has a probe of its own, which Prepare returns")
	}
	if p.OnePod {
		return allFor(s, p)
	}
	return apart(s, pods)
}

// allFor waits many times at once for one pod.
func allFor(s *subject, p *pod) error {
	l, err := s.launchWith(p.Probe, p)
	if err != nil {
		return err
	}
	return l.becomesReady(conformance.Often())
}

// becomesReady waits that often at once for l's pod, which becomes ready.
func (l *launch) becomesReady(times int) error {
	all := make([]*wait, times)
	for i := range all {
		all[i] = l.wait()
	}
	all[0].Within(moment)
	l.Ready(l.setup)
	for _, w := range all {
		if err := l.expect(w); err != nil {
			return err
		}
	}
	return nil
}

// apart waits for n pods at once with the Probe of the first, and makes them
// ready one after the other.
func apart(s *subject, n int) error {
	all, err := s.launchMany(n)
	if err != nil {
		return err
	}
	waits := make([]*wait, n)
	for i, l := range all {
		waits[i] = l.wait()
	}
	waits[0].Within(moment)
	for i := n - 1; i >= 0; i-- {
		all[i].Ready(all[i].setup)
		if err := all[i].expect(waits[i]); err != nil {
			return fmt.Errorf("of %d pods at once: %w", n, err)
		}
		if i == n-1 && waits[0].Within(moment) {
			return fmt.Errorf("of %d pods at once another one is ready, and Wait returned %v, %w", n, waits[0].endpoint, waits[0].outcome())
		}
	}
	return nil
}

func again(s *subject) error {
	first, err := s.launch()
	if err != nil {
		return err
	}
	w := first.wait()
	if _, crash := w.cut(); crash != nil {
		return crash
	}
	first.over()
	for _, before := range []string{"ended by its ctx", "for a pod that was ready"} {
		p, err := s.pod()
		if err != nil {
			return err
		}
		probe := first.Probe
		if first.OnePod {
			probe = p.Probe
		}
		l, err := s.launchWith(probe, p)
		if err != nil {
			return fmt.Errorf("after a wait that was %s: %w", before, err)
		}
		if err := l.becomesReady(1); err != nil {
			return fmt.Errorf("after a wait %s: %w", before, err)
		}
	}
	return nil
}

func bare(s *subject) error {
	var all []*wait
	for _, lacks := range []struct {
		what   string
		change func(t *readiness.Target)
	}{
		{"Lines", func(t *readiness.Target) { t.Lines = nil }},
		{"PID", func(t *readiness.Target) { t.PID = 0 }},
		{"Endpoint", func(t *readiness.Target) { t.Endpoint = readiness.Endpoint{} }},
		{"RuntimeDir", func(t *readiness.Target) { t.RuntimeDir = "" }},
		{"WorkDir", func(t *readiness.Target) { t.WorkDir = "" }},
		{"anything", func(t *readiness.Target) { *t = readiness.Target{} }},
	} {
		l, err := s.launch()
		if err != nil {
			return err
		}
		t := l.Target
		lacks.change(&t)
		all = append(all, l.waitAs("Wait for a Target without "+lacks.what, context.Background(), t))
	}
	l, err := s.launch()
	if err != nil {
		return err
	}
	l.tap.from = oddLines()
	all = append(all, l.waitAs("Wait for a pod that writes odd lines", context.Background(), l.Target))
	time.Sleep(moment)
	for _, w := range all {
		err, crash := w.end()
		if crash != nil {
			return crash
		}
		if err == nil {
			return fmt.Errorf("%s: it returned %v without an error", w.what, w.endpoint)
		}
	}
	return nil
}

// oddLines are lines as a pod may write them. None says that it is ready.
func oddLines() func(ctx context.Context) iter.Seq2[[]byte, error] {
	log := new(Log)
	for _, line := range []string{"", "\r", " ", "\t", "\x00", "\xff", "=", ":", strings.Repeat("x", 64<<10)} {
		io.WriteString(log, line+"\n")
	}
	return log.Lines
}

// outcome is the error of a wait that has returned, or an error that says that the wait
// returned none.
func (w *wait) outcome() error {
	if crash := w.Join(0); crash != nil {
		return crash
	}
	return cmp.Or(w.err, errors.New("without an error"))
}

// inOneLine makes sure that a text can be shown in one line.
func inOneLine(what, text string) error {
	switch {
	case text == "":
		return fmt.Errorf("%s says nothing", what)
	case strings.ContainsFunc(text, unicode.IsControl):
		return fmt.Errorf("%s holds control characters: %q", what, text)
	}
	return nil
}
