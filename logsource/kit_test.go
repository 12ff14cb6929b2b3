package logsource_test

import (
	"testing"
	"time"

	"github.com/podlaunch/podlaunch/logsource"
	"github.com/podlaunch/podlaunch/logsource/logsourcetest"
)

// A File keeps the contract of every Source, followed by events and by polling.
func TestFileConforms(t *testing.T) {
	for name, source := range map[string]logsource.Source{
		"events":     logsource.File{},
		"name":       logsource.File{Name: "web.log"},
		"Poll":       logsource.File{Poll: time.Millisecond},
		"SourceFunc": logsource.SourceFunc(logsource.File{}.Open),
	} {
		t.Run(name, func(t *testing.T) {
			if testing.Short() && name != "events" {
				t.Skip("skipped with -short: the same rules for another way to make a File")
			}
			logsourcetest.Test(t, func(*testing.T) logsource.Source { return source })
		})
	}
}
