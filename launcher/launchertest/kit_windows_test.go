package launchertest_test

import (
	"os"
	"testing"
	"time"

	"github.com/podlaunch/podlaunch/launcher"
	"github.com/podlaunch/podlaunch/launcher/launchertest"
)

// There is no shell here. This program knows a single script: it sleeps.
func init() {
	if len(os.Args) > 1 && os.Args[1] == "-c" {
		time.Sleep(time.Minute)
		os.Exit(0)
	}
}

// Local keeps those rules of a Starter that need no shell.
func TestLocal(t *testing.T) {
	launchertest.TestStarter(t, func(t *testing.T) launchertest.StarterCase {
		self, err := os.Executable()
		if err != nil {
			t.Fatal(err)
		}
		return launchertest.StarterCase{
			Starter: launcher.Local{},
			Shell:   self,
			Lacks:   launchertest.Programs | launchertest.Output | launchertest.Files | launchertest.Groups | launchertest.Sessions,
		}
	})
}
