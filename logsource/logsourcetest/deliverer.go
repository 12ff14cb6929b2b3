package logsourcetest

import (
	"io"

	"github.com/podlaunch/podlaunch/logsource"
)

// A Deliverer is a [logsource.Source] whose logs have no Sink. It is needed in
// tests only, where no Starter delivers a process's output: [Test] asks for it
// when a Sink is nil.
type Deliverer interface {
	// Deliver returns where the output of launch is written, whose log is
	// open. To close it says that the process has ended. It is called once for
	// each launch.
	Deliver(launch logsource.Launch) (io.WriteCloser, error)
}
