package launcher_test

import (
	"fmt"
	"testing"

	"github.com/podlaunch/podlaunch/launcher"
)

// What a Spec says in constants prints as their names, and what is none as its number.
func TestNamesOfConstants(t *testing.T) {
	for value, want := range map[fmt.Stringer]string{
		launcher.KillAll:     "KillAll",
		launcher.KillMixed:   "KillMixed",
		launcher.KillFirst:   "KillFirst",
		launcher.KillMode(3): "KillMode(3)",
		launcher.Detached:    "Detached",
		launcher.WithParent:  "WithParent",
		launcher.Lifetime(2): "Lifetime(2)",
	} {
		if got := value.String(); got != want {
			t.Errorf("it prints %q, want %q", got, want)
		}
	}
}
