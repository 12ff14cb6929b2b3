package readinesstest_test

import (
	"context"
	"strings"
	"testing"

	"github.com/podlaunch/podlaunch/readiness"
	"github.com/podlaunch/podlaunch/readiness/readinesstest"
	"github.com/podlaunch/podlaunch/runtimedir/conformance"
)

// What people see: each broken rule is a subtest that failed, with what was
// seen and the rule in words; a rule can be left out by its name; a rule that
// does not apply is skipped with the reason; if the foundation is broken the
// others are not tried.
func TestReport(t *testing.T) {
	t.Parallel()
	play := conformance.Plays(t, map[string]func(t *testing.T){
		"nameless": func(t *testing.T) {
			readinesstest.Test(t, func(*testing.T) readinesstest.Case {
				return switchCase(func(s *readinesstest.Switch) readiness.Probe { return nameless{s} })
			})
		},
		"hasty": func(t *testing.T) {
			readinesstest.Test(t, func(*testing.T) readinesstest.Case {
				return switchCase(func(*readinesstest.Switch) readiness.Probe {
					return readiness.ProbeFunc(func(_ context.Context, t readiness.Target) (readiness.Endpoint, error) { return t.Endpoint, nil })
				})
			})
		},
	})
	if play == nil {
		return
	}
	if _, passed := play(t, "nameless", "",
		"--- FAIL: TestReport/describes", "has no method String", "The rule: A Probe says what it waits for",
		"--- PASS: TestReport/late", "--- SKIP: TestReport/lines-end", "does not apply: the Probe does not read Target.Lines",
	); passed {
		t.Error("the test of a wrong probe passed")
	}
	if out, passed := play(t, "nameless", "^TestReport$/^describes$"); !passed {
		t.Errorf("it failed without the broken rule:\n%s", out)
	}
	out, passed := play(t, "hasty", "", "--- FAIL: TestReport/waits", "without an error", "rules were not tried")
	if passed || strings.Contains(out, "TestReport/late") {
		t.Errorf("it was not the end when the probe did not wait:\n%s", out)
	}
}

// nameless hides String.
type nameless struct{ readiness.Probe }

func switchCase(probe func(s *readinesstest.Switch) readiness.Probe) readinesstest.Case {
	s := new(readinesstest.Switch)
	return readinesstest.Case{Probe: probe(s), Ready: func(*readiness.Setup) { s.Ready(readiness.Endpoint{}) }, OnePod: true}
}
