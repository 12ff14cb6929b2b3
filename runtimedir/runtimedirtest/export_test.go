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
