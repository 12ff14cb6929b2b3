//go:build linux

package endurance_test

import (
	"testing"

	"golang.org/x/sys/unix"

	"github.com/podlaunch/podlaunch/launcher/internal/crashpoint"
)

// What was wrong once is tried every time, with each call of its kind.
func TestErrnoFound(t *testing.T) {
	for _, found := range []injection{
		// Where we run was not asked again after it could not be found out.
		{act: "launch", call: crashpoint.Call{Name: "readlinkat"}, errno: unix.ENOMEM},
	} {
		t.Run(found.String(), func(t *testing.T) {
			j := newInjector(t)
			for found.n = 1; j.missed == 0; found.n++ {
				j.try(found)
			}
			if len(j.outcomes) == 0 {
				t.Error("there is no such call")
			}
		})
	}
}
