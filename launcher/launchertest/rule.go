package launchertest

import (
	"fmt"

	"github.com/podlaunch/podlaunch/runtimedir/conformance"
)

// These are variables for the kit's own tests.
var (
	// soon is how long the end of a process of the group may take, and what is
	// left behind.
	soon = conformance.Soon

	// moment is how long a rule looks on where nothing must happen.
	moment = conformance.Moment
)

// often is how many times something is done that must leave nothing behind. It
// starts processes, and an engine takes a second for each.
func often() int { return max(16, conformance.Often()/2) }

// needs returns a rule that does not apply to a Starter without these features.
func needs(features Feature, run func(s *starting) error) func(s *starting) error {
	return func(s *starting) error {
		if lacks := s.Lacks & features; lacks != 0 {
			return conformance.Inapplicable(fmt.Sprintf("the Case says that the Starter lacks %v", lacks))
		}
		return run(s)
	}
}
