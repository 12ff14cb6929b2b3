package logsourcetest

import (
	"errors"
	"iter"
	"sync/atomic"
	"testing"

	"github.com/podlaunch/podlaunch/logsource"
	"github.com/podlaunch/podlaunch/runtimedir/conformance"
)

// Test tests a Source. Each rule of the contract is a subtest with the rule's
// name, and calls newSource once, with its own t. A rule that does not apply is
// skipped, and says why. If not even the first rules hold, that a log can be
// opened, written and read, and by several readers, the others are not tried.
//
// The Source is used from goroutines other than the subtest's, so it must not
// call t's FailNow.
func Test(t *testing.T, newSource func(t *testing.T) logsource.Source) {
	t.Helper()
	kit.Test(t, checks(newSource))
}

// Rules yields the name of each rule, which is that of its subtest, and what it
// says, in the order in which they are tried.
func Rules() iter.Seq2[string, string] { return kit.Says() }

// checks runs a rule, and clears up after it unless it hangs.
func checks(newSource func(t *testing.T) logsource.Source) conformance.Check[*subject] {
	stalls := new(atomic.Bool)
	return func(t *testing.T, r conformance.Rule[*subject]) error {
		s := newSubject(newSource(t), t.TempDir(), stalls)
		defer s.cancel()
		err := s.calls.Guard(blamed, func() error { return r.Run(s) })
		if errors.Is(err, conformance.ErrHangs) {
			return err
		}
		hang := s.calls.Guard(blamed, s.close)
		if hang != nil && errors.As(err, new(conformance.Inapplicable)) {
			return hang
		}
		return errors.Join(err, hang)
	}
}
