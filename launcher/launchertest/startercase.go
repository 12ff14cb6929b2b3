package launchertest

import (
	"fmt"

	"github.com/podlaunch/podlaunch/launcher"
)

// A Feature is something that a Starter may not be able to do.
type Feature uint

const (
	// Programs: it runs programs of this machine. Without it the process that
	// it starts has to run until it is signalled, no matter what the command is.
	// Then only Status matters of the other features.
	Programs Feature = 1 << iota

	// Output: Stdout and Stderr of the request are the process's. Rules that
	// look at what a script says need it too.
	Output

	// Files: those of the request are the process's, from descriptor 3.
	Files

	// Status: Wait reports how the process ended, Exit.Known.
	Status

	// Groups: the process leads a group, and a signal reaches all of it.
	Groups

	// Sessions: the process leads a session.
	Sessions

	// StartErrors: Start fails if there is no such program. Without it the process of
	// a missing program ends by itself.
	StartErrors
)

// featureNames are those of the features, in order.
var featureNames = []string{"Programs", "Output", "Files", "Status", "Groups", "Sessions", "StartErrors"}

// String names the features in the set.
func (f Feature) String() string {
	var names []string
	for i, name := range featureNames {
		if f&(1<<i) != 0 {
			names = append(names, name)
		}
	}
	return fmt.Sprint(names)
}

// A StarterCase is a Starter to be tested.
type StarterCase struct {
	// Starter is what is tested. Required.
	Starter launcher.Starter

	// Lacks are the features that the Starter does not have. The rules that need one
	// of them do not apply. 0: it has all.
	Lacks Feature

	// Shell is a POSIX shell that it can run. Empty: /bin/sh.
	Shell string
}
