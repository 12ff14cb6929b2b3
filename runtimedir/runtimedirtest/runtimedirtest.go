package runtimedirtest

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"sync/atomic"
	"testing"
	"time"

	"github.com/podlaunch/podlaunch/runtimedir"
)

const (
	// patience ends a rule that hangs: no call returns for so long.
	patience = time.Minute

	// soon is how long something may take that nobody can wait for.
	soon = 5 * time.Second
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
	for i, r := range rules {
		held := t.Run(r.name, func(t *testing.T) { r.test(t, newResolver(t)) })
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
	says string // what a Resolver must do
	run  func(s *subject) error
}

// test runs the rule as the test t.
func (r rule) test(t *testing.T, resolver runtimedir.Resolver) {
	t.Helper()
	err := r.check(newSubject(resolver, t.TempDir()))
	switch err := err.(type) {
	case nil:
	case inapplicable:
		t.Skipf("does not apply: %s", string(err))
	default:
		t.Errorf("%v\nThe rule: %s", err, r.says)
	}
}

// check runs the rule in a goroutine, which is left behind if it hangs.
func (r rule) check(s *subject) error {
	defer s.cancel()
	ended := make(chan error, 1)
	go func() {
		err := errors.New("the Resolver has ended the goroutine that called it (by t.FailNow?)")
		defer func() { ended <- err }()
		err = r.run(s)
	}()
	for before := s.returned.Load(); ; {
		select {
		case err := <-ended:
			return err
		case <-time.After(patience):
		}
		now := s.returned.Load()
		if now == before {
			return fmt.Errorf("it hangs: no call of the Resolver has returned for %v", patience)
		}
		before = now
	}
}

// inapplicable is the error of a rule that says nothing about the Resolver.
type inapplicable string

func (why inapplicable) Error() string { return string(why) }

// A subject is the Resolver that a rule is about.
type subject struct {
	resolver runtimedir.Resolver
	dir      string // for what the rule itself needs
	returned atomic.Int64

	// Every context of the rule comes from this one, which ends with it.
	ctx    context.Context
	cancel context.CancelFunc
}

func newSubject(resolver runtimedir.Resolver, dir string) *subject {
	s := &subject{resolver: resolver, dir: dir}
	s.ctx, s.cancel = context.WithCancel(context.Background())
	return s
}

// resolve calls RuntimeDir as it is.
func (s *subject) resolve(ctx context.Context, name string) (string, error) {
	defer s.returned.Add(1)
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

// base returns what Base does.
func (s *subject) base() (string, error) {
	baser, ok := s.resolver.(runtimedir.Baser)
	if !ok {
		return "", inapplicable(fmt.Sprintf("the Resolver, a %T, is no runtimedir.Baser", s.resolver))
	}
	defer s.returned.Add(1)
	base, err := baser.Base(s.ctx)
	if err != nil {
		return "", fmt.Errorf("Baser.Base: %w", err)
	}
	return base, nil
}
