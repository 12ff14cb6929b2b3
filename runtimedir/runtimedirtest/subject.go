package runtimedirtest

import (
	"context"
	"fmt"

	"github.com/podlaunch/podlaunch/runtimedir"
	"github.com/podlaunch/podlaunch/runtimedir/conformance"
)

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
