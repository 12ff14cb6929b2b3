//go:build linux

package port_test

import (
	"testing"

	"github.com/podlaunch/podlaunch/launcher/internal/podrig"
)

func TestMain(m *testing.M) { podrig.Main(m) }

// A rig is what most tests launch their pods with, and has the methods that
// only tests of this package need.
type rig struct{ podrig.Rig }

// newRig returns a rig whose pods follow steps.
func newRig(t *testing.T, steps ...string) *rig {
	t.Helper()
	return &rig{*podrig.New(t, steps...)}
}
