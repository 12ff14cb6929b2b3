// Package conformance runs a conformance kit: a table of rules, each a subtest;
// and finds what a test leaves behind.
//
// A kit tests implementations of an interface. Each [Rule] is one sentence of
// the contract, and a function that tries it on a subject: an implementation,
// and what the rule has begun with it. [Kit.Test] runs the rules, [Kit.Says]
// lists them, and [Kit.Broken] shows in the kit's own tests that it finds what
// is wrong:
//
//	var kit = conformance.Kit[*subject]{Rules: []conformance.Rule[*subject]{
//		{Name: "opens", Says: "Open opens the door.", Run: opens},
//		{Name: "locked", Says: "A locked door stays closed.", Run: locked},
//	}}
//
//	func Test(t *testing.T, newDoor func(t *testing.T) Door) {
//		kit.Test(t, func(t *testing.T, r conformance.Rule[*subject]) error {
//			s := &subject{Door: newDoor(t)}
//			return s.calls.Guard("the Door", func() error { return r.Run(s) })
//		})
//	}
//
// What a test leaves behind is found by [Main] and by a [Snapshot], after
// everything; and by [Leaves], [Descriptors] and a [Label] within a rule.
//
// The packages runtimedirtest, logsourcetest, readinesstest and launchertest are
// made of it. It is public because of them: an internal package below one of the
// four packages is not visible to the others. It is below runtimedir because that
// package imports none of the others, and it imports no package of this module.
package conformance

import (
	"errors"
	"iter"
	"slices"
	"testing"
	"testing/synctest"
)

// A Rule is one sentence of a contract, about an S.
type Rule[S any] struct {
	Name string          // of the subtest
	Says string          // what has to be so
	Run  func(s S) error // returns what was seen of a rule that is broken
}

// With is the Run of a rule about something that is begun with the subject.
func With[S, T any](begin func(s S) (T, error), rule func(t T) error) func(s S) error {
	return func(s S) error {
		t, err := begin(s)
		if err != nil {
			return err
		}
		return rule(t)
	}
}

// A Kit is a contract, in rules. One more rule, surroundings, holds for all that is tested: it
// leaves alone what all of a program has in common.
type Kit[S any] struct {
	Rules []Rule[S]

	// Foundation is how many of the first rules must hold for the others to
	// make sense. 0: 1.
	Foundation int
}

// A Check makes a subject, runs the rule with it, and clears up.
type Check[S any] func(t *testing.T, r Rule[S]) error

// Inapplicable is the error of a rule that says nothing about its subject, and
// says why.
type Inapplicable string

// Error implements error.
func (why Inapplicable) Error() string { return string(why) }

// Test runs each rule as a subtest with the rule's name. A rule that is
// [Inapplicable] is skipped, and says why. If one of the foundation is broken
// the others are not tried. What check changes in the surroundings it has to change back, in
// a Cleanup of its t at the latest, as T.Setenv does.
func (k Kit[S]) Test(t *testing.T, check Check[S]) {
	t.Helper()
	var watch watch
	for i, r := range k.Rules {
		held := t.Run(r.Name, func(t *testing.T) {
			t.Helper()
			t.Cleanup(watch.during(r.Name)) // the first one, and so the last that is called
			err := check(t, r)
			var why Inapplicable
			switch {
			case errors.As(err, &why):
				t.Skipf("does not apply: %s", string(why))
			case err != nil:
				t.Errorf("%v\nThe rule: %s", err, r.Says)
			}
		})
		if !held && i < k.foundation() {
			t.Errorf("the other %d rules were not tried", len(k.Rules)-i)
			return
		}
	}
	t.Run(surroundingsName, func(t *testing.T) {
		t.Helper()
		if err := watch.err(); err != nil {
			t.Errorf("%v\nThe rule: %s", err, surroundingsSays)
		}
	})
}

// Says yields the name of each rule, and what it says, in the order in which
// they are tried.
func (k Kit[S]) Says() iter.Seq2[string, string] {
	return func(yield func(name, says string) bool) {
		for _, r := range k.Rules {
			if !yield(r.Name, r.Says) {
				return
			}
		}
		yield(surroundingsName, surroundingsSays)
	}
}

// Broken tries the rules, or only those with these names, without making t fail.
// It returns what is wrong by the name of the rule that says so, and the names
// of the rules that do not apply. It is for the tests of a kit; see [Proof].
func (k Kit[S]) Broken(t *testing.T, check Check[S], only ...string) (broken map[string]error, skipped []string) {
	t.Helper()
	trying.Add(1)
	defer trying.Add(-1)
	broken = make(map[string]error)
	wanted := func(name string) bool { return len(only) == 0 || slices.Contains(only, name) }
	var watch watch
	for i, r := range k.Rules {
		if !wanted(r.Name) && !wanted(surroundingsName) {
			continue
		}
		over := watch.during(r.Name)
		err := check(t, r)
		over()
		switch {
		case !wanted(r.Name):
		case errors.As(err, new(Inapplicable)):
			skipped = append(skipped, r.Name)
		case err != nil:
			broken[r.Name] = err
			if i < k.foundation() {
				return broken, skipped
			}
		}
	}
	if err := watch.err(); err != nil {
		broken[surroundingsName] = err
	}
	return broken, skipped
}

func (k Kit[S]) foundation() int { return max(k.Foundation, 1) }

// InBubble runs each check in a bubble of package synctest, where it takes no
// time to wait.
func InBubble[S any](check Check[S]) Check[S] {
	return func(t *testing.T, r Rule[S]) (err error) {
		synctest.Test(t, func(t *testing.T) { err = check(t, r) })
		return err
	}
}
