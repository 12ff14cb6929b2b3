package readinesstest_test

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/podlaunch/podlaunch/readiness"
	"github.com/podlaunch/podlaunch/readiness/readinesstest"
)

// playVariable makes TestReport play the test of a wrong probe.
const playVariable = "READINESSTEST_PLAY"

// What people see: each broken rule is a subtest that failed, with what was
// seen and the rule in words; a rule can be left out by its name; a rule that
// does not apply is skipped with the reason; if the foundation is broken the
// others are not tried.
func TestReport(t *testing.T) {
	switch os.Getenv(playVariable) {
	case "nameless":
		readinesstest.Test(t, func(*testing.T) readinesstest.Case {
			return switchCase(func(s *readinesstest.Switch) readiness.Probe { return nameless{s} })
		})
		return
	case "hasty":
		readinesstest.Test(t, func(*testing.T) readinesstest.Case {
			return switchCase(func(*readinesstest.Switch) readiness.Probe {
				return readiness.ProbeFunc(func(_ context.Context, t readiness.Target) (readiness.Endpoint, error) { return t.Endpoint, nil })
			})
		})
		return
	}
	out, passed := play(t, "nameless", "")
	if passed {
		t.Error("the test of a wrong probe passed")
	}
	mustSay(t, out, "--- FAIL: TestReport/describes", "has no method String", "The rule: A Probe says what it waits for",
		"--- PASS: TestReport/late", "--- SKIP: TestReport/lines-end", "does not apply: the Probe does not read Target.Lines")
	if out, passed = play(t, "nameless", "^TestReport$/^describes$"); !passed {
		t.Errorf("it failed without the broken rule:\n%s", out)
	}
	out, passed = play(t, "hasty", "")
	if passed || strings.Contains(out, "TestReport/late") {
		t.Errorf("it was not the end when the probe did not wait:\n%s", out)
	}
	mustSay(t, out, "--- FAIL: TestReport/waits", "without an error", "rules were not tried")
}

// nameless hides String.
type nameless struct{ readiness.Probe }

func switchCase(probe func(s *readinesstest.Switch) readiness.Probe) readinesstest.Case {
	s := new(readinesstest.Switch)
	return readinesstest.Case{Probe: probe(s), Ready: func(*readiness.Setup) { s.Ready(readiness.Endpoint{}) }, OnePod: true}
}

// play runs TestReport in a process of its own.
func play(t *testing.T, what, skip string) (out string, passed bool) {
	t.Helper()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), exe, "-test.run=^TestReport$", "-test.v", "-test.skip="+skip)
	cmd.Env = append(os.Environ(), playVariable+"="+what, "GORACE=atexit_sleep_ms=0")
	text, err := cmd.CombinedOutput()
	if err != nil && !errors.As(err, new(*exec.ExitError)) {
		t.Fatal(err)
	}
	return string(text), err == nil
}

func mustSay(t *testing.T, out string, parts ...string) {
	t.Helper()
	for _, part := range parts {
		if !strings.Contains(out, part) {
			t.Errorf("the output lacks %q:\n%s", part, out)
		}
	}
}
