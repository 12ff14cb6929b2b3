package launchertest

import (
	"fmt"

	"github.com/podlaunch/podlaunch/runtimedir/conformance"
)

// soon is how long something may take that nobody can wait for: the end of a
// process of the group. It is a variable for the kit's own tests.
var soon = conformance.Soon

// often is how many times something is done that must leave nothing behind. It
// starts processes, of which an engine takes a second for each.
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

// guarded runs f in a goroutine, which is left behind if it hangs.
func guarded(f func() error) error { return new(conformance.Calls).Guard("it", f) }
