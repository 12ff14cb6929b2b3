package runtimedirtest

import (
	"testing"

	"github.com/podlaunch/podlaunch/runtimedir"
	"github.com/podlaunch/podlaunch/runtimedir/conformance"
)

// Broken returns what is wrong with a Resolver, by the name of the rule that
// says so, in bubbles.
func Broken(t *testing.T, newResolver func(t *testing.T) runtimedir.Resolver, only ...string) map[string]error {
	broken, _ := kit.Broken(t, conformance.InBubble(checks(newResolver)), only...)
	return broken
}

// LetOthersIn lets everybody do everything in a directory.
func LetOthersIn(path string) error {
	_, err := letOthersIn(path, waysIn[0])
	return err
}

// MayOthersIn reports whether others may do anything in a directory of ours.
func MayOthersIn(path string) bool { return checkPrivate(path) != nil }

// Link makes a symbolic link, as the rules do.
func Link(to, path string) error { return link(to, path) }

// CanBeElsewhere reports whether the rules can try another working directory.
func CanBeElsewhere(dir string) (can bool) {
	elsewhere(dir, func() error { can = true; return nil })
	return can
}
