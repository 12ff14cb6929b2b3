package runtimedirtest_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/podlaunch/podlaunch/runtimedir"
	"github.com/podlaunch/podlaunch/runtimedir/conformance"
	"github.com/podlaunch/podlaunch/runtimedir/runtimedirtest"
)

func TestMain(m *testing.M) { conformance.Main(m) }

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
	proof := conformance.NewProof(runtimedirtest.Rules())
	defer os.Unsetenv("RUNTIMEDIRTEST_DIR") // one of them sets it
	for _, c := range wrongs {
		t.Run(c.fault, func(t *testing.T) {
			if c.rule == "foreign" && os.Geteuid() != 0 {
				proof.Skip(t, c.rule, "only root can give a directory to somebody else")
			}
			if err := tryLink(t); err != nil && (slices.Contains([]string{"symlink", "base-resolved", "base-error"}, c.rule) || strings.Contains(c.fault, "link is refused")) {
				proof.Skip(t, c.rule, err.Error())
			}
			if runtime.GOOS == "windows" && strings.Contains(c.fault, "group") {
				proof.Skip(t, c.rule, "a directory has no group there")
			}
			if runtime.GOOS == "windows" && strings.Contains(c.fault, "dots at the end") {
				proof.Skip(t, c.rule, "no name ends with a dot there")
			}
			if strings.Contains(c.fault, "working directory") && !runtimedirtest.CanBeElsewhere(t.TempDir()) {
				proof.Skip(t, c.rule, "a thread can have no working directory of its own here")
			}
			proof.Finds(t, func(only ...string) map[string]error {
				return runtimedirtest.Broken(t, func(t *testing.T) runtimedir.Resolver {
					b := &bent{base: newDir(t)}
					c.bend(t, b)
					return b
				}, only...)
			}, c.rule)
		})
	}
	proof.Complete(t)
}

// tryLink returns why no symbolic link can be made here, or nil.
func tryLink(t *testing.T) error {
	dir := t.TempDir()
	return runtimedirtest.Link(dir, filepath.Join(dir, "link"))
}

// What somebody writes who has not read the contract: MkdirAll, and nothing
// else.
func TestPlainMkdir(t *testing.T) {
	rules := []string{"invalid-name", "narrows", "not-a-directory", "open-base", "unavailable"}
	if runtime.GOOS != "windows" {
		rules = append(rules, "private") // a directory has the rights of the one above it there
	}
	if tryLink(t) == nil {
		rules = append(rules, "symlink")
	}
	broken := runtimedirtest.Broken(t, func(t *testing.T) runtimedir.Resolver {
		base := string(newDir(t))
		return runtimedir.ResolverFunc(func(_ context.Context, name string) (string, error) {
			dir := filepath.Join(base, name)
			return dir, os.MkdirAll(dir, 0o755)
		})
	}, rules...)
	for _, rule := range rules {
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

// What people see: each broken rule is a subtest that failed, with what was
// seen and the rule in words; a rule can be left out by its name; a rule that
// does not apply is skipped with the reason; if the first one is broken the
// others are not tried.
func TestReport(t *testing.T) {
	t.Parallel()
	play := conformance.Plays(t, map[string]func(t *testing.T){
		"not again": func(t *testing.T) {
			runtimedirtest.Test(t, func(t *testing.T) runtimedir.Resolver {
				b := &bent{base: newDir(t)}
				for _, c := range wrongs {
					if c.rule == "again" {
						c.bend(t, b)
					}
				}
				return runtimedir.ResolverFunc(b.RuntimeDir) // no Baser
			})
		},
		"never": func(t *testing.T) {
			runtimedirtest.Test(t, func(*testing.T) runtimedir.Resolver {
				return runtimedir.ResolverFunc(func(context.Context, string) (string, error) {
					return "", errors.New("no directory today")
				})
			})
		},
	})
	if play == nil {
		return
	}
	gone := "no such file or directory"
	if runtime.GOOS == "windows" {
		gone = "GetFileAttributesEx" // the system's words are in its own language
	}
	if _, passed := play(t, "not again", "",
		"--- FAIL: TestReport/again", gone, "The rule: A directory that was removed exists again",
		"--- PASS: TestReport/same", "--- SKIP: TestReport/base-holds", "does not apply: the Resolver, a runtimedir.ResolverFunc, is no runtimedir.Baser",
	); passed {
		t.Error("the test of a wrong Resolver passed")
	}
	if out, passed := play(t, "not again", "^TestReport$/^again$"); !passed {
		t.Errorf("it failed without the broken rule:\n%s", out)
	}
	rest := len(maps.Collect(runtimedirtest.Rules())) - 1
	out, passed := play(t, "never", "", "--- FAIL: TestReport/exists", "no directory today", fmt.Sprintf("the other %d rules were not tried", rest))
	if passed || strings.Contains(out, "TestReport/same") {
		t.Errorf("it was not the end when there was no directory:\n%s", out)
	}
}
