package logsourcetest

import (
	"errors"
	"fmt"
	"io"
	"iter"
	"testing"
	"time"

	"github.com/podlaunch/podlaunch/logsource"
)

const (
	// patience ends a rule that hangs: none of its calls returns for so long.
	patience = time.Minute

	// stalled is how long a rule waits for bytes that were written.
	stalled = patience / 2

	// soon is how long something may take that nobody can wait for: a
	// goroutine's end, a file's being written by somebody else.
	soon = 5 * time.Second

	// moment is how long a rule looks on where nothing must happen.
	moment = 50 * time.Millisecond
)

// A Deliverer is a [logsource.Source] whose logs have no Sink. It is needed in
// tests only, where no Starter delivers a process's output: [Test] asks for it
// when a Sink is nil.
type Deliverer interface {
	// Deliver returns where the output of launch is written, whose log is
	// open. To close it says that the process has ended. It is called once for
	// each launch.
	Deliver(launch logsource.Launch) (io.WriteCloser, error)
}

// Test tests a Source. Each rule of the contract is a subtest with the rule's
// name, and calls newSource once, with its own t. A rule that does not apply is
// skipped, and says why. If not even the first rule holds, that a log can be
// opened, written and read, the others are not tried.
//
// The Source is used from goroutines other than the subtest's, so it must not
// call t's FailNow.
func Test(t *testing.T, newSource func(t *testing.T) logsource.Source) {
	t.Helper()
	for i, r := range rules {
		held := t.Run(r.name, func(t *testing.T) { r.test(t, newSource(t)) })
		if i == 0 && !held {
			t.Errorf("the other %d rules were not tried", len(rules)-1)
			return
		}
	}
}

// Rules yields the name of each rule, which is that of its subtest, and what it
// says, in the order in which they are tried.
func Rules() iter.Seq2[string, string] {
	return func(yield func(string, string) bool) {
		for _, r := range rules {
			if !yield(r.name, r.says) {
				return
			}
		}
	}
}

// A rule is one sentence of the contract.
type rule struct {
	name string
	says string // what a Source must do
	run  func(s *subject) error
}

// test runs the rule as the test t.
func (r rule) test(t *testing.T, source logsource.Source) {
	t.Helper()
	err := r.check(newSubject(source, t.TempDir()))
	switch err := err.(type) {
	case nil:
	case inapplicable:
		t.Skipf("does not apply: %s", string(err))
	default:
		t.Errorf("%v\nThe rule: %s", err, r.says)
	}
}

// check runs the rule, and clears up after it, in a goroutine that is left
// behind if it hangs.
func (r rule) check(s *subject) error {
	ran, cleared := make(chan error, 1), make(chan error, 1)
	go func() {
		defer close(cleared)
		defer s.close()
		err := errors.New("the Source has ended the goroutine that called it (by t.FailNow?)")
		defer func() { ran <- err }()
		err = r.run(s)
	}()
	err, hangs := s.await(ran)
	if !hangs {
		_, hangs = s.await(cleared)
	}
	if hangs {
		s.cancel() // that may help
		err = errors.Join(err, fmt.Errorf("it hangs: for %v there was no end of %s", patience, s.calls.pending()))
	}
	return err
}

// await waits for as long as calls into the Source come and return.
func (s *subject) await(ended <-chan error) (err error, hangs bool) {
	for before := s.calls.total(); ; {
		select {
		case err := <-ended:
			return err, false
		case <-time.After(patience):
		}
		now := s.calls.total()
		if now == before {
			return nil, true
		}
		before = now
	}
}

// inapplicable is the error of a rule that says nothing about the Source.
type inapplicable string

func (why inapplicable) Error() string { return string(why) }
