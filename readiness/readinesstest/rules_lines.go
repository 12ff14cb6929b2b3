package readinesstest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/podlaunch/podlaunch/readiness"
	"github.com/podlaunch/podlaunch/runtimedir/conformance"
)

// unread is why a rule about lines does not apply.
const unread = conformance.Inapplicable("the Probe does not read Target.Lines")

func lineSlices(l *launch) error {
	l.tap.scramble = true
	if err := l.becomesReady(1); err != nil {
		return fmt.Errorf("every line is overwritten once the next one is asked for: %w", err)
	}
	if l.tap.read() == nil {
		return unread
	}
	return nil
}

// contextKey is the key of a value that the ctx of a wait holds.
type contextKey struct{}

func linesContext(l *launch) error {
	w := l.waitFor(context.WithValue(context.Background(), contextKey{}, l.s), l.Target)
	if _, crash := w.cut(); crash != nil {
		return crash
	}
	contexts := l.tap.read()
	if contexts == nil {
		return unread
	}
	for _, ctx := range contexts {
		if ctx == nil || ctx.Value(contextKey{}) != l.s {
			return errors.New("Lines was called with a ctx that does not hold the values of the one given to Wait")
		}
		if ctx.Err() == nil {
			return errors.New("Lines was called with a ctx that has not ended with the one given to Wait")
		}
	}
	return nil
}

// errRead is what goes wrong in reading lines.
var errRead = errors.New("the rule lets the log fail")

func linesError(l *launch) error {
	l.tap.fail = errRead
	w := l.waitUntilReady()
	if _, crash := w.cut(); crash != nil {
		return crash
	}
	_, composite := l.Probe.(readiness.Composite)
	switch {
	case l.tap.read() == nil:
		return unread
	case w.err == nil, errors.Is(w.err, errRead): // the first: by another sign
		return nil
	case composite && strings.Contains(w.err.Error(), errRead.Error()): // another part was still waiting
		return nil
	}
	return fmt.Errorf("Lines ended with the error %q, which errors.Is does not find in the one of Wait: %w", errRead, w.err)
}

func linesEnd(l *launch) error {
	l.tap.cut = true
	w := l.wait()
	if _, crash := w.cut(); crash != nil {
		return crash
	}
	switch {
	case l.tap.read() == nil:
		return unread
	case w.err == nil:
		return fmt.Errorf("the log ended without a line, and Wait returned %v", w.endpoint)
	}
	return nil
}

func linesEndCause(l *launch) error {
	l.tap.cut = true
	w := l.wait()
	if w.Within(conformance.Moment) {
		return conformance.Inapplicable("Wait does not go on where the log has ended")
	}
	if _, crash := w.end(); crash != nil {
		return crash
	}
	switch {
	case l.tap.read() == nil:
		return unread
	case w.err == nil: // for another rule
		return nil
	case !errors.Is(w.err, conformance.ErrStopped):
		return fmt.Errorf("the log had ended; then ctx was done because of %q, which errors.Is does not find in the error of Wait: %w", conformance.ErrStopped, w.err)
	}
	return nil
}

// A question is one about a line.
type question struct {
	what string
	ask  func(t readiness.Target, line []byte) string
}

// questions are those that a Probe answers.
func questions(p readiness.Probe) (all []question) {
	for leaf := range readiness.Leaves(p) {
		if o, ok := leaf.(readiness.LineOwner); ok {
			all = append(all, question{"OwnsLine", func(t readiness.Target, line []byte) string {
				return fmt.Sprint(o.OwnsLine(t, line))
			}})
		}
		if r, ok := leaf.(readiness.StatusReader); ok {
			all = append(all, question{"Status", func(t readiness.Target, line []byte) string {
				text, ok := r.Status(t, line)
				return fmt.Sprintf("%q, %v", text, ok)
			}})
		}
		if n, ok := leaf.(readiness.NearMisser); ok {
			all = append(all, question{"NearMiss", func(t readiness.Target, line []byte) string {
				return fmt.Sprintf("%q", n.NearMiss(t, line))
			}})
		}
	}
	return all
}

func pureLines(l *launch) error {
	all := questions(l.Probe)
	if all == nil {
		return conformance.Inapplicable("it is no LineOwner, StatusReader or NearMisser")
	}
	lines, err := l.written(l.Ready)
	if err != nil {
		return err
	}
	lines = append(lines, nil, []byte("\x00"), []byte("a line that no program writes"), bytes.Repeat([]byte("x"), 64<<10))
	for _, q := range all {
		var verdict error
		ask := func() { verdict = pure(q, l.Target, lines) }
		if crash := l.s.call(q.what, ask); crash != nil {
			return crash
		}
		if verdict != nil {
			return verdict
		}
	}
	return nil
}

// written has the pod say something, as Ready does, and returns the lines of its log.
func (l *launch) written(say func(s *readiness.Setup)) (lines [][]byte, err error) {
	say(l.setup)
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	for line, err := range l.tap.from(ctx) {
		if err != nil && !errors.Is(err, context.Canceled) {
			return nil, fmt.Errorf("the Case's Lines: %w", err)
		}
		if err == nil {
			lines = append(lines, slices.Clone(line))
		}
	}
	return lines, nil
}

// pure asks q of lines: each for itself, then in many goroutines at once.
func pure(q question, t readiness.Target, lines [][]byte) error {
	want := make([]string, len(lines))
	for i, line := range lines {
		got := slices.Clone(line)
		want[i] = q.ask(t, got)
		if !bytes.Equal(got, line) {
			return fmt.Errorf("%s has changed the line %q to %q", q.what, line, got)
		}
	}
	return conformance.AtOnce(q.what, 64, func(int) error { return same(q, t, lines, want) })
}

// same makes sure that the answers are want, in the other order too.
func same(q question, t readiness.Target, lines [][]byte, want []string) error {
	buf := make([]byte, 0, 64<<10) // the same one for every line, as a log's may be
	for i, line := range slices.Backward(lines) {
		buf = append(buf[:0], line...)
		if got := q.ask(t, buf); got != want[i] {
			return fmt.Errorf("%s says %s of the line %q, and said %s before", q.what, got, line, want[i])
		}
	}
	return nil
}

func owned(l *launch) error {
	owner, ok := l.Probe.(readiness.LineOwner)
	if !ok {
		return conformance.Inapplicable("it is no LineOwner")
	}
	lines, err := l.written(l.Ready)
	if err != nil {
		return err
	}
	for _, line := range lines {
		if owner.OwnsLine(l.Target, line) {
			return nil
		}
	}
	return fmt.Errorf("of the lines that make the pod ready it owns none: %q", lines)
}

func nearMiss(l *launch) error {
	lines, err := l.written(l.Ready)
	if err != nil {
		return err
	}
	found := false
	for leaf := range readiness.Leaves(l.Probe) {
		near, ok := leaf.(readiness.NearMisser)
		if !ok {
			continue
		}
		found = true
		for _, line := range lines {
			for _, before := range []string{"", "web | ", "\x1b[31m", "\ufeff"} {
				var text string
				ask := func() { text = near.NearMiss(l.Target, []byte(before+string(line)+"\x1b[0m\r")) }
				if crash := l.s.call("NearMiss", ask); crash != nil {
					return crash
				}
				if text == "" {
					continue
				}
				if err := inOneLine("NearMiss", text); err != nil {
					return err
				}
			}
		}
	}
	if !found {
		return conformance.Inapplicable("it is no NearMisser")
	}
	return nil
}
