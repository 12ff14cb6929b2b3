package runtimedirtest

import (
	"context"
	"fmt"
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

// A subject is the Resolver that a rule is about.
type subject struct {
	resolver runtimedir.Resolver
	dir      string // for what the rule itself needs
	calls    conformance.Calls

	// Every context of the rule comes from this one, which ends with it.
	ctx context.Context
}

// resolve calls RuntimeDir as it is.
func (s *subject) resolve(ctx context.Context, name string) (string, error) {
	defer s.calls.Begin("RuntimeDir")()
	return s.resolver.RuntimeDir(ctx, name)
}

// runtimeDir returns the directory of the pod called name, which there must be.
func (s *subject) runtimeDir(name string) (string, error) {
	dir, err := s.resolve(s.ctx, name)
	if err != nil {
		return "", fmt.Errorf("RuntimeDir(%q): %w", name, err)
	}
	return dir, nil
}

// withDir is a rule about the directory of a pod.
func withDir(rule func(s *subject, dir string) error) func(s *subject) error {
	return func(s *subject) error {
		dir, err := s.runtimeDir("web")
		if err != nil {
			return err
		}
		return rule(s, dir)
	}
}

// base returns what Base does.
func (s *subject) base() (string, error) {
	baser, ok := s.resolver.(runtimedir.Baser)
	if !ok {
		return "", conformance.Inapplicable(fmt.Sprintf("the Resolver, a %T, is no runtimedir.Baser", s.resolver))
	}
	defer s.calls.Begin("Base")()
	base, err := baser.Base(s.ctx)
	if err != nil {
		return "", fmt.Errorf("Baser.Base: %w", err)
	}
	return base, nil
}
