package launchertest

import "github.com/podlaunch/podlaunch/runtimedir/conformance"

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
