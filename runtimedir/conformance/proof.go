package conformance

import (
	"errors"
	"iter"
	"maps"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

// A Proof shows that a kit can fail: for each rule there is something wrong that
// breaks it, and nothing else.
type Proof struct{ unproved map[string]string }

// NewProof returns one of the rules that a kit's Says yields.
func NewProof(rules iter.Seq2[string, string]) *Proof { return &Proof{maps.Collect(rules)} }

// Finds makes sure that something wrong breaks exactly these rules. broken is
// [Kit.Broken] of it. With -short no others are tried. A rule that looks on for a moment may miss
// what comes later on a busy machine, so Finds tries a rule again that has found nothing.
func (p *Proof) Finds(t *testing.T, broken func(only ...string) map[string]error, rules ...string) {
	t.Helper()
	var only []string
	if testing.Short() {
		only = rules
	}
	found := broken(only...)
	for _, rule := range rules {
		for again := 0; found[rule] == nil && again < 4; again++ {
			maps.Copy(found, broken(rule))
		}
		if found[rule] == nil {
			t.Errorf("the rule %q does not find it", rule)
		}
	}
	for rule, err := range found {
		if !slices.Contains(rules, rule) {
			t.Errorf("the rule %q complains: %v", rule, err)
		}
	}
	if len(rules) == 1 {
		delete(p.unproved, rules[0])
	}
}

// Skip skips the test t, which would have shown that rule is found broken, and says
// why that cannot be tried here. Complete then does not ask for rule.
func (p *Proof) Skip(t *testing.T, rule, why string) {
	t.Helper()
	delete(p.unproved, rule)
	t.Skip("not run: " + why)
}

// Complete makes sure that each rule was found broken alone, or skipped.
func (p *Proof) Complete(t *testing.T) {
	t.Helper()
	if len(p.unproved) > 0 {
		t.Errorf("nothing wrong is there for the rules %q", slices.Sorted(maps.Keys(p.unproved)))
	}
}

// playVariable makes a test play.
const playVariable = "CONFORMANCE_PLAY"

// A Player runs one of several tests in a process of its own, to show what people
// see of it. skip is for -test.skip. The output has to hold parts.
type Player func(t *testing.T, what, skip string, parts ...string) (out string, passed bool)

// Plays is called first in a test, with the tests that it plays, by a name for
// each. In the process that plays one Plays does so, and returns nil: the test
// ends then.
func Plays(t *testing.T, tests map[string]func(t *testing.T)) Player {
	t.Helper()
	if test := tests[os.Getenv(playVariable)]; test != nil {
		test(t)
		return nil
	}
	return play
}

func play(t *testing.T, what, skip string, parts ...string) (out string, passed bool) {
	t.Helper()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), exe, "-test.run=^"+t.Name()+"$", "-test.v", "-test.skip="+skip)
	// Under -race a process lingers for a second at its end otherwise.
	cmd.Env = append(os.Environ(), playVariable+"="+what, "GORACE=atexit_sleep_ms=0")
	text, err := cmd.CombinedOutput()
	if err != nil && !errors.As(err, new(*exec.ExitError)) {
		t.Fatal(err)
	}
	out, passed = string(text), err == nil
	for _, part := range parts {
		if !strings.Contains(out, part) {
			t.Errorf("the output lacks %q:\n%s", part, out)
		}
	}
	return out, passed
}
