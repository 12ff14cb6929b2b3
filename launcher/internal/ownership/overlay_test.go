//go:build linux || windows

package ownership_test

import (
	"errors"
	"io/fs"
	"os"
	"testing"
)

// mustLack fails the test if the file is there.
func (s *scene) mustLack(suffix string) {
	s.t.Helper()
	if _, err := os.Lstat(s.path(suffix)); !errors.Is(err, fs.ErrNotExist) {
		s.t.Errorf("%s is there: %v", suffix, err)
	}
}

// A claim that ends removes the overlay. The next claim removes the overlay of a launcher
// that died.
func TestOverlayEnds(t *testing.T) {
	s := newScene(t)
	write := func() {
		t.Helper()
		c := s.mustClaim()
		f, err := c.WriteOverlay("a = 1\n")
		if err != nil {
			t.Fatal(err)
		}
		f.Close()
		if _, err := c.Abandon(t.Context(), false); err != nil {
			t.Error(err)
		}
	}
	write()
	s.mustLack(".overlay")
	if err := os.WriteFile(s.path(".overlay"), []byte("a launcher that died"), 0o600); err != nil {
		t.Fatal(err)
	}
	settle(s.mustClaim())
	s.mustLack(".overlay")
	write()
}

// RemoveOverlay returns no error if somebody has already removed the file.
func TestOverlayGone(t *testing.T) {
	s := newScene(t)
	c := s.mustClaim()
	f, err := c.WriteOverlay("a = 1\n")
	if err != nil {
		t.Fatal(err)
	}
	f.Close()
	if err := errors.Join(os.Remove(s.path(".overlay")), c.RemoveOverlay()); err != nil {
		t.Error(err)
	}
	if _, err := c.Abandon(t.Context(), false); err != nil {
		t.Error(err)
	}
}

// What another has put in the place of the overlay's file is not removed, and
// what stands there already is not written to.
func TestOverlayOfAnother(t *testing.T) {
	s := newScene(t)
	c := s.mustClaim()
	f, err := c.WriteOverlay("a = 1\n")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	const others = "another's"
	if err := errors.Join(removeOpen(s.path(".overlay")), os.WriteFile(s.path(".overlay"), []byte(others), 0o600)); err != nil {
		t.Fatal(err)
	}
	if _, err := c.WriteOverlay("b = 2\n"); !errors.Is(err, fs.ErrExist) {
		t.Errorf("WriteOverlay returned %v", err)
	}
	if _, err := c.Abandon(t.Context(), false); err != nil {
		t.Error(err)
	}
	if data, err := os.ReadFile(s.path(".overlay")); err != nil || string(data) != others {
		t.Errorf("the other's file is %q, %v", data, err)
	}
}
