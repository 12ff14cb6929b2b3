//go:build unix

package launchertest_test

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/podlaunch/podlaunch/launcher"
	"github.com/podlaunch/podlaunch/launcher/launchertest"
)

// playVariable makes TestReport play the test of something wrong.
const playVariable = "LAUNCHERTEST_PLAY"

// What people see: each broken rule is a subtest that failed, with what was
// seen and the rule in words; a rule can be left out by its name; a rule that
// does not apply is skipped with the reason; if the first one is broken the
// others are not tried.
func TestReport(t *testing.T) {
	switch os.Getenv(playVariable) {
	case "names":
		launchertest.TestCommandResolver(t, func(*testing.T) launchertest.CommandCase {
			return launchertest.CommandCase{Resolver: launcher.CommandResolverFunc(
				func(_ context.Context, req launcher.Request) (launcher.Command, error) {
					args := []string{req.Spec.Overlay, req.Spec.Session.String()}
					return launcher.Command{Path: "sh", Args: append(args, req.Spec.Args...), Env: req.Spec.Env}, nil
				})}
		})
		return
	case "unstarted":
		launchertest.TestStarter(t, func(*testing.T) launchertest.StarterCase {
			return launchertest.StarterCase{Starter: &launchertest.Starter{Err: errors.New("no process today")}, Lacks: launchertest.Programs}
		})
		return
	}
	out, passed := play(t, "names", "")
	if passed {
		t.Error("the test of a wrong resolver passed")
	}
	mustSay(t, out, "--- FAIL: TestReport/absolute", `the path is "sh"`, "The rule: Command.Path is absolute.",
		"--- PASS: TestReport/args", "--- SKIP: TestReport/not-found", "does not apply: the Case has no Missing")
	if out, passed = play(t, "names", "^TestReport$/^absolute$"); !passed {
		t.Errorf("it failed without the broken rule:\n%s", out)
	}
	out, passed = play(t, "unstarted", "")
	if passed || strings.Contains(out, "TestReport/wait-runs") {
		t.Errorf("it was not the end when nothing could be started:\n%s", out)
	}
	mustSay(t, out, "--- FAIL: TestReport/starts", "no process today", "rules were not tried")
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
