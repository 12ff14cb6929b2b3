//go:build unix

package launchertest_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/podlaunch/podlaunch/launcher"
	"github.com/podlaunch/podlaunch/launcher/launchertest"
	"github.com/podlaunch/podlaunch/runtimedir/conformance"
)

// What people see: each broken rule is a subtest that failed, with what was
// seen and the rule in words; a rule can be left out by its name; a rule that
// does not apply is skipped with the reason; if the first one is broken the
// others are not tried.
func TestReport(t *testing.T) {
	play := conformance.Plays(t, map[string]func(t *testing.T){
		"names": func(t *testing.T) {
			named := launcher.CommandResolverFunc(func(_ context.Context, req launcher.Request) (launcher.Command, error) {
				args := []string{req.Spec.Overlay, req.OverlayPath, req.Spec.Session.String()}
				return launcher.Command{Path: "sh", Args: append(args, req.Spec.Args...), Env: slices.Clone(req.Spec.Env)}, nil
			})
			launchertest.TestCommandResolver(t, func(*testing.T) launchertest.CommandCase {
				return launchertest.CommandCase{Resolver: named}
			})
		},
		"unstarted": func(t *testing.T) {
			launchertest.TestStarter(t, func(*testing.T) launchertest.StarterCase {
				return launchertest.StarterCase{Starter: &launchertest.Starter{Err: errors.New("no process today")}, Lacks: launchertest.Programs}
			})
		},
	})
	if play == nil {
		return
	}
	if _, passed := play(t, "names", "",
		"--- FAIL: TestReport/absolute", `the path is "sh"`, "The rule: Command.Path is absolute.",
		"--- PASS: TestReport/args", "--- SKIP: TestReport/not-found", "does not apply: the Case has no Missing",
	); passed {
		t.Error("the test of a wrong resolver passed")
	}
	if out, passed := play(t, "names", "^TestReport$/^absolute$"); !passed {
		t.Errorf("it failed without the broken rule:\n%s", out)
	}
	out, passed := play(t, "unstarted", "", "--- FAIL: TestReport/starts", "no process today", "rules were not tried")
	if passed || strings.Contains(out, "TestReport/wait-runs") {
		t.Errorf("it was not the end when nothing could be started:\n%s", out)
	}
}
