package runtimedirtest

import (
	"context"
	"iter"
	"testing"

	"github.com/podlaunch/podlaunch/runtimedir"
	"github.com/podlaunch/podlaunch/runtimedir/conformance"
)

// Test tests a Resolver. Each rule of the contract is a subtest with the rule's
// name, and calls newResolver once, with its own t. A rule that does not apply
// is skipped, and says why. If not even the first rule holds, that there is a
// directory for a pod, the others are not tried.
//
// The Resolver is used from goroutines other than the subtest's, so it must not
// call t's FailNow.
func Test(t *testing.T, newResolver func(t *testing.T) runtimedir.Resolver) {
	t.Helper()
	kit.Test(t, checks(newResolver))
}

// Rules yields the name of each rule, which is that of its subtest, and what it
// says, in the order in which they are tried.
func Rules() iter.Seq2[string, string] { return kit.Says() }

func checks(newResolver func(t *testing.T) runtimedir.Resolver) conformance.Check[*subject] {
	return func(t *testing.T, r conformance.Rule[*subject]) error {
		s := &subject{resolver: newResolver(t), dir: t.TempDir()}
		var cancel context.CancelFunc
		s.ctx, cancel = context.WithCancel(context.Background())
		defer cancel()
		return s.calls.Guard("the Resolver", func() error { return r.Run(s) })
	}
}
