package runtimedirtest_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/podlaunch/podlaunch/runtimedir"
	"github.com/podlaunch/podlaunch/runtimedir/runtimedirtest"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// newDir returns a Dir whose base does not exist yet.
func newDir(t *testing.T) runtimedir.Dir {
	t.Helper()
	dir, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	return runtimedir.Dir(filepath.Join(dir, "base"))
}

// The kit finds each fault, by the rule that is there for it, and by no other;
// and there is a fault for each rule.
func TestWrongResolvers(t *testing.T) {
	unused := maps.Collect(runtimedirtest.Rules())
	for _, c := range wrongs {
		delete(unused, c.rule)
		t.Run(c.fault, func(t *testing.T) {
			if c.rule == "foreign" && os.Geteuid() != 0 {
				t.Skip("not run: only root can give a directory to somebody else")
			}
			broken := runtimedirtest.Broken(t, func(t *testing.T) runtimedir.Resolver {
				b := &bent{base: newDir(t)}
				c.bend(t, b)
				return b
			})
			if _, found := broken[c.rule]; !found {
				t.Errorf("the rule %q does not find it", c.rule)
			}
			for name, err := range broken {
				if name != c.rule {
					t.Errorf("the rule %q complains: %v", name, err)
				}
			}
		})
	}
	if len(unused) > 0 {
		t.Errorf("there is no wrong Resolver for %q", slices.Sorted(maps.Keys(unused)))
	}
}

// What somebody writes who has not read the contract: MkdirAll, and nothing
// else.
func TestPlainMkdir(t *testing.T) {
	broken := runtimedirtest.Broken(t, func(t *testing.T) runtimedir.Resolver {
		base := string(newDir(t))
		return runtimedir.ResolverFunc(func(_ context.Context, name string) (string, error) {
			dir := filepath.Join(base, name)
			return dir, os.MkdirAll(dir, 0o755)
		})
	})
	for _, rule := range []string{"invalid-name", "narrows", "not-a-directory", "open-base", "private", "symlink", "unavailable"} {
		if broken[rule] == nil {
			t.Errorf("the rule %q does not complain", rule)
		}
	}
}

// The kit finds nothing wrong with what is right, in a bubble.
func TestRightResolver(t *testing.T) {
	for rule, err := range runtimedirtest.Broken(t, func(t *testing.T) runtimedir.Resolver { return &bent{base: newDir(t)} }) {
		t.Errorf("%s: %v", rule, err)
	}
}

// A rule that hangs ends, and one whose Resolver ends its goroutine says so.
func TestHangs(t *testing.T) {
	for name, c := range map[string]struct {
		hang func(over context.Context)
		says string
	}{
		"for ever":       {func(over context.Context) { <-over.Done() }, "it hangs"},
		"by t.FailNow()": {func(context.Context) { runtime.Goexit() }, "FailNow"},
	} {
		t.Run(name, func(t *testing.T) {
			broken := runtimedirtest.Broken(t, func(t *testing.T) runtimedir.Resolver {
				over := t.Context()
				return runtimedir.ResolverFunc(func(context.Context, string) (string, error) {
					c.hang(over)
					return "", errors.New("too late")
				})
			})
			if err := broken["exists"]; err == nil || !strings.Contains(err.Error(), c.says) {
				t.Errorf("it says %v, want %q in it", err, c.says)
			}
		})
	}
}

// playVariable makes TestReport play the test of a wrong Resolver.
const playVariable = "RUNTIMEDIRTEST_PLAY"

// What people see: each broken rule is a subtest that failed, with what was
// seen and the rule in words; a rule can be left out by its name; a rule that
// does not apply is skipped with the reason; if the first one is broken the
// others are not tried.
func TestReport(t *testing.T) {
	switch os.Getenv(playVariable) {
	case "not again":
		runtimedirtest.Test(t, func(t *testing.T) runtimedir.Resolver {
			b := &bent{base: newDir(t)}
			for _, c := range wrongs {
				if c.rule == "again" {
					c.bend(t, b)
				}
			}
			return runtimedir.ResolverFunc(b.RuntimeDir) // no Baser
		})
		return
	case "never":
		runtimedirtest.Test(t, func(*testing.T) runtimedir.Resolver {
			return runtimedir.ResolverFunc(func(context.Context, string) (string, error) {
				return "", errors.New("no directory today")
			})
		})
		return
	}
	out, passed := play(t, "not again", "")
	if passed {
		t.Error("the test of a wrong Resolver passed")
	}
	mustSay(t, out, "--- FAIL: TestReport/again", "no such file or directory", "The rule: A directory that was removed exists again",
		"--- PASS: TestReport/same", "--- SKIP: TestReport/base-holds", "does not apply: the Resolver, a runtimedir.ResolverFunc, is no runtimedir.Baser")
	if out, passed = play(t, "not again", "^TestReport$/^again$"); !passed {
		t.Errorf("it failed without the broken rule:\n%s", out)
	}
	out, passed = play(t, "never", "")
	if passed || strings.Contains(out, "TestReport/same") {
		t.Errorf("it was not the end when there was no directory:\n%s", out)
	}
	mustSay(t, out, "--- FAIL: TestReport/exists", "no directory today", fmt.Sprintf("the other %d rules were not tried", len(maps.Collect(runtimedirtest.Rules()))-1))
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
