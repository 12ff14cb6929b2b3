package ownership_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/podlaunch/podlaunch/launcher/internal/ownership"
)

// A private pod that is used is not swept: its launcher has the lock, or a process has its name
// in the environment. Once nobody uses it, its directory and its lock are removed, and a base
// that is empty.
func TestSweep(t *testing.T) {
	base := filepath.Join(t.TempDir(), "base")
	name := ownership.RandomName()
	if err := os.MkdirAll(filepath.Join(base, name, "deep"), 0o700); err != nil {
		t.Fatal(err)
	}
	mustSweep := func(want ...string) {
		t.Helper()
		if swept, err := ownership.Sweep(t.Context(), base, nameVariable); err != nil || !slices.Equal(swept, want) {
			t.Errorf("Sweep returned %v, %v; want %v", swept, err, want)
		}
	}
	t.Setenv(nameVariable, name)
	launcher := start(t, "private "+base)
	t.Setenv(nameVariable, "another")
	mustSweep()
	t.Setenv(nameVariable, name)
	left := start(t, "hold")
	t.Setenv(nameVariable, "another")
	launcher.kill()
	mustSweep()
	left.mustLive()
	left.end()
	mustSweep(name)
	if _, err := os.Lstat(base); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the base is there: %v", err)
	}
}

// A launch of a private pod that fails leaves nothing, also if somebody else has removed it.
func TestPrivateLeavesNothing(t *testing.T) {
	base := filepath.Join(t.TempDir(), "base")
	for _, before := range []bool{false, true} {
		name := ownership.RandomName()
		if err := os.MkdirAll(filepath.Join(base, name), 0o700); err != nil {
			t.Fatal(err)
		}
		p, err := ownership.Open(base, name)
		if err != nil {
			t.Fatal(err)
		}
		claim, err := p.Private(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if before {
			if err := os.Remove(filepath.Join(base, name)); err != nil {
				t.Fatal(err)
			}
		}
		if err := claim.Intend(intent()); err != nil {
			t.Fatal(err)
		}
		if _, err := claim.Abandon(t.Context(), true); err != nil {
			t.Error(err)
		}
		if _, err := os.Lstat(base); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("the base is there: %v", err)
		}
	}
}
