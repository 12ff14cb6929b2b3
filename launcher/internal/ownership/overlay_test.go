//go:build linux

package ownership_test

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"syscall"
	"testing"
)

// The overlay's file is its user's alone whatever the umask, and can be read
// from its beginning when it has no name any more. To remove it twice, or none,
// is no error.
func TestOverlay(t *testing.T) {
	for _, umask := range []int{0o000, 0o077, 0o777} {
		s := newScene(t)
		c := s.mustClaim()
		if err := c.RemoveOverlay(); err != nil {
			t.Error(err)
		}
		old := syscall.Umask(umask)
		f, err := c.WriteOverlay("a = 1\n")
		syscall.Umask(old)
		if err != nil {
			t.Fatal(err)
		}
		if fi, err := os.Lstat(s.path(".overlay")); err != nil || fi.Mode() != 0o600 {
			t.Errorf("umask %03o: %v, %v", umask, fi, err)
		}
		for range 2 {
			if err := c.RemoveOverlay(); err != nil {
				t.Error(err)
			}
		}
		s.mustLack(".overlay")
		if text, err := io.ReadAll(f); string(text) != "a = 1\n" {
			t.Errorf("it holds %q, %v", text, err)
		}
		f.Close()
		if _, err := c.Abandon(t.Context(), false); err != nil {
			t.Error(err)
		}
	}
}

// mustLack fails the test if the file is there.
func (s *scene) mustLack(suffix string) {
	s.t.Helper()
	if _, err := os.Lstat(s.path(suffix)); !errors.Is(err, fs.ErrNotExist) {
		s.t.Errorf("%s is there: %v", suffix, err)
	}
}

// A claim that ends takes the overlay with it; one that nobody has ended leaves
// it to the next.
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
	s.mustClaim().Settle()
	s.mustLack(".overlay")
	write()
}

// An overlay that somebody has cleaned away is removed.
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
	if err := errors.Join(os.Remove(s.path(".overlay")), os.WriteFile(s.path(".overlay"), []byte(others), 0o600)); err != nil {
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
