package launchertest

import (
	"errors"
	"fmt"
	"iter"
	"runtime/debug"
	"testing"
	"time"
)

const (
	// patience ends a rule that hangs: one that has not gone on for so long.
	patience = time.Minute

	// soon is how long something may take that nobody can wait for: a
	// goroutine's end, that of a process of the group.
	soon = 3 * time.Second

	// moment is how long a rule looks on where nothing must happen.
	moment = 50 * time.Millisecond

	// often is how many times something is done that must leave nothing behind.
	often = 32
)

// A rule is one sentence of a contract, about an S.
type rule[S any] struct {
	name  string
	says  string // what has to be so
	needs Feature
	run   func(s *S) error
}

// inapplicable is the error of a rule that says nothing about what is tested.
type inapplicable string

func (why inapplicable) Error() string { return string(why) }

// testRules runs each rule as a subtest, with a subject of its own. If the
// first is broken the others are not tried.
func testRules[S any](t *testing.T, rules []rule[S], check func(t *testing.T, r rule[S]) error) {
	t.Helper()
	for i, r := range rules {
		held := t.Run(r.name, func(t *testing.T) {
			t.Helper()
			err := check(t, r)
			var why inapplicable
			switch {
			case errors.As(err, &why):
				t.Skipf("does not apply: %s", string(why))
			case err != nil:
				t.Errorf("%v\nThe rule: %s", err, r.says)
			}
		})
		if i == 0 && !held {
			t.Errorf("the other %d rules were not tried", len(rules)-1)
			return
		}
	}
}

// listRules yields the name of each rule, and what it says.
func listRules[S any](rules []rule[S]) iter.Seq2[string, string] {
	return func(yield func(name, says string) bool) {
		for _, r := range rules {
			if !yield(r.name, r.says) {
				return
			}
		}
	}
}

// guarded runs f in a goroutine, which is left behind if it hangs. With goesOn it
// says that it does not: a rule may start many processes, of which an engine takes
// a second for each.
func guarded(f func(goesOn func()) error) error {
	ended := make(chan error, 1)
	guard := time.NewTimer(patience)
	defer guard.Stop()
	go func() {
		err := errors.New("it has ended the goroutine that called it (by t.FailNow?)")
		defer func() {
			if v := recover(); v != nil {
				err = fmt.Errorf("it panicked: %v\n%s", v, debug.Stack())
			}
			ended <- err
		}()
		err = f(func() { guard.Reset(patience) })
	}()
	select {
	case err := <-ended:
		return err
	case <-guard.C:
		return fmt.Errorf("it hangs: there is no end after %v", patience)
	}
}
