package logsourcetest

import (
	"testing"

	"github.com/podlaunch/podlaunch/logsource"
	"github.com/podlaunch/podlaunch/runtimedir/conformance"
)

// Broken returns what is wrong with a Source, by the name of the rule that says
// so, in bubbles.
func Broken(t *testing.T, newSource func(t *testing.T) logsource.Source, only ...string) map[string]error {
	broken, _ := kit.Broken(t, conformance.InBubble(checks(newSource)), only...)
	return broken
}
