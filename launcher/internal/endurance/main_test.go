//go:build linux

package endurance_test

import (
	"testing"

	"github.com/podlaunch/podlaunch/launcher/internal/podrig"
)

func TestMain(m *testing.M) { podrig.Main(m) }
