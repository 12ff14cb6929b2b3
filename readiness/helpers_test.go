package readiness_test

import (
	"context"
	"errors"
	"io"
	"iter"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/podlaunch/podlaunch/logsource"
	"github.com/podlaunch/podlaunch/readiness"
)

// target is the pod called "pod", whose log is lines.
func target(t *testing.T, lines func(context.Context) iter.Seq2[[]byte, error]) readiness.Target {
	return readiness.Target{Name: "pod", RuntimeDir: t.TempDir(), WorkDir: "/srv/pod", Lines: lines}
}

// inWorkDir is where a relative path leads from there.
func inWorkDir(path string) string { return "/srv/pod" + string(filepath.Separator) + path }

// logOf is a log that holds these lines and never gets another. As the
// contract allows, a line is gone once the next one is asked for.
func logOf(lines ...string) func(context.Context) iter.Seq2[[]byte, error] {
	return func(ctx context.Context) iter.Seq2[[]byte, error] {
		return func(yield func([]byte, error) bool) {
			for _, line := range lines {
				buf := []byte(line)
				if !yield(buf, nil) {
					return
				}
				clear(buf)
			}
			<-ctx.Done()
			yield(nil, context.Cause(ctx))
		}
	}
}

// framed is a log that holds what r delivers, framed as the default log is,
// and ends where r does.
func framed(r io.Reader) func(context.Context) iter.Seq2[[]byte, error] {
	return func(context.Context) iter.Seq2[[]byte, error] {
		return func(yield func([]byte, error) bool) {
			for line, err := range logsource.Lines(r) {
				if err == io.EOF || !yield(line, err) {
					return
				}
			}
		}
	}
}

// patience is how long await waits, on a clock that jumps.
const patience = time.Minute

// errOver is why the waiting ends in await.
var errOver = errors.New("the time is over")

// await waits for p until patience is over, on a clock that jumps, and returns
// how much of it went by.
func await(t *testing.T, p readiness.Probe, target readiness.Target) (e readiness.Endpoint, took time.Duration, err error) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeoutCause(t.Context(), patience, errOver)
		defer cancel()
		start := time.Now()
		e, err = p.Wait(ctx, target)
		took = time.Since(start)
	})
	if err != nil && e != (readiness.Endpoint{}) {
		t.Errorf("an endpoint came with an error: %v", e)
	}
	return e, took, err
}

// pending fails the test unless err is a PendingError because of cause, and
// returns it.
func pending(t *testing.T, err, cause error) *readiness.PendingError {
	t.Helper()
	var p *readiness.PendingError
	if !errors.As(err, &p) {
		t.Fatalf("the error is no *PendingError: %v", err)
	}
	if !errors.Is(p.Cause, cause) {
		t.Errorf("the cause is %v, want %v", p.Cause, cause)
	}
	mustBe(t, err, cause)
	return p
}

// mustBe fails the test unless err is each of targets.
func mustBe(t *testing.T, err error, targets ...error) {
	t.Helper()
	for _, target := range targets {
		if !errors.Is(err, target) {
			t.Errorf("errors.Is(err, %v) is false for: %v", target, err)
		}
	}
}

// mustSay fails the test unless the message of err holds each of parts.
func mustSay(t *testing.T, err error, parts ...string) {
	t.Helper()
	for _, part := range parts {
		if err == nil || !strings.Contains(err.Error(), part) {
			t.Errorf("the message lacks %q: %v", part, err)
		}
	}
}
