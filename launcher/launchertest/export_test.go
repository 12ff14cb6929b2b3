package launchertest

import (
	"testing"
	"time"

	"github.com/podlaunch/podlaunch/runtimedir/conformance"
)

// BrokenCommand returns what is wrong with a CommandResolver, by the name of
// the rule that says so. Rules wait for a shorter time.
func BrokenCommand(t *testing.T, newCase func(t *testing.T) CommandCase, only ...string) map[string]error {
	oldSoon := soon
	defer func() { soon = oldSoon }()
	soon = time.Second / 10
	broken, _ := commandKit.Broken(t, checkCommand(newCase), only...)
	return broken
}

// BrokenStarter is the same for a Starter.
func BrokenStarter(t *testing.T, newCase func(t *testing.T) StarterCase, only ...string) map[string]error {
	oldSoon, oldMoment := soon, moment
	defer func() { soon, moment = oldSoon, oldMoment }()
	soon, moment = time.Second/2, conformance.Moment/10
	broken, _ := starterKit.Broken(t, checkStarter(newCase), only...)
	return broken
}

// BrokenInMemory is the same for a Starter without Programs, in bubbles.
func BrokenInMemory(t *testing.T, newCase func(t *testing.T) StarterCase, only ...string) map[string]error {
	broken, _ := starterKit.Broken(t, conformance.InBubble(checkStarter(newCase)), only...)
	return broken
}
