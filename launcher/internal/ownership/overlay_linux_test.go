package ownership_test

import (
	"io"
	"os"
	"syscall"
	"testing"
)

// Only its user can read the overlay's file, no matter what the umask is. The file can be
// read from its beginning when it has no name any more. RemoveOverlay returns no error if
// there is no file, or not any more.
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
