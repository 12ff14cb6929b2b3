package readinesstest_test

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"strings"
	"testing"

	"github.com/podlaunch/podlaunch/readiness"
	"github.com/podlaunch/podlaunch/readiness/readinesstest"
	"github.com/podlaunch/podlaunch/runtimedir/conformance"
)

func TestMain(m *testing.M) { conformance.Main(m) }

// A probe that keeps the contract passes the kit, as anybody would call it.
func TestTest(t *testing.T) {
	t.Parallel()
	readinesstest.Test(t, func(*testing.T) readinesstest.Case {
		log := new(readinesstest.Log)
		return readinesstest.Case{
			Probe:  readiness.ReadyLine{},
			Target: readiness.Target{Name: "web", WorkDir: filepath.FromSlash("/srv/web"), Lines: log.Lines},
			Ready:  func(*readiness.Setup) { fmt.Fprint(log, "loading\nINSOMNIA-READY\tweb\tsock\n") },
			Fail:   func(*readiness.Setup) { fmt.Fprintln(log, "INSOMNIA-READY") },
			Want:   readiness.Endpoint{Network: "unix", Address: filepath.FromSlash("/srv/web/sock")},
		}
	})
}

// What the log yields, and how it ends, is what Target.Lines promises.
func TestLog(t *testing.T) {
	failed := errors.New("input/output error")
	cancelled, cancel := context.WithCancelCause(t.Context())
	gone := errors.New("gone")
	cancel(gone)
	for _, test := range []struct {
		name string
		end  func(l *readinesstest.Log)
		ctx  context.Context
		want error
	}{
		{"ended", (*readinesstest.Log).End, t.Context(), nil},
		{"failed", func(l *readinesstest.Log) { l.Fail(failed) }, t.Context(), failed},
		{"cancelled", func(*readinesstest.Log) {}, cancelled, gone},
		{"ended twice", func(l *readinesstest.Log) { l.Fail(failed); l.End() }, t.Context(), failed},
	} {
		t.Run(test.name, func(t *testing.T) {
			l := new(readinesstest.Log)
			fmt.Fprint(l, "one\n\nth", "ree\nno line")
			test.end(l)
			for range 2 { // from the first line, at every call
				var got []string
				var end error
				for line, err := range l.Lines(test.ctx) {
					if end = err; err == nil {
						got = append(got, string(line))
					}
				}
				if lines := strings.Join(got, "|"); lines != "one||three" || !errors.Is(end, test.want) {
					t.Errorf("it yields %q, then the error %v, want %v", lines, end, test.want)
				}
			}
		})
	}
	l := new(readinesstest.Log)
	l.End()
	if _, err := l.Write(nil); !errors.Is(err, fs.ErrClosed) {
		t.Errorf("writing to a log that has ended: %v", err)
	}
}

// A line is gone once the next one is asked for, so that a probe which keeps
// one is found out.
func TestLogReusesLines(t *testing.T) {
	l := new(readinesstest.Log)
	fmt.Fprint(l, "first\nsecond\n")
	l.End()
	var first []byte
	for line := range l.Lines(t.Context()) {
		if first == nil {
			first = line
		}
	}
	if string(first) == "first" {
		t.Errorf("a line that was kept is still %q", first)
	}
}
