package ownership

import (
	"errors"
	"os"
	"os/signal"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// B8: of a record or an overlay that does not fit nothing is left.
func TestNothingIsLeftOfWhatDoesNotFit(t *testing.T) {
	p, _ := openPlace(t)
	c, err := p.Claim(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	signal.Ignore(unix.SIGXFSZ)
	defer signal.Reset(unix.SIGXFSZ)
	var before unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_FSIZE, &before); err != nil {
		t.Fatal(err)
	}
	if err := unix.Setrlimit(unix.RLIMIT_FSIZE, &unix.Rlimit{Cur: 16, Max: before.Max}); err != nil {
		t.Fatal(err)
	}
	recordErr := p.write(whole())
	overlay, overlayErr := c.WriteOverlay(strings.Repeat("x", 64))
	if err := unix.Setrlimit(unix.RLIMIT_FSIZE, &before); err != nil {
		t.Fatal(err)
	}
	if !errors.Is(recordErr, unix.EFBIG) || !errors.Is(overlayErr, unix.EFBIG) || overlay != nil {
		t.Errorf("the errors are %v and %v, want %v", recordErr, overlayErr, unix.EFBIG)
	}
	for _, name := range []string{p.recordName(), OverlayName(p.name)} {
		if _, err := os.Lstat(p.path(name)); !isMissing(err) {
			t.Errorf("there is still %s: %v", name, err)
		}
	}
	if _, err := c.Abandon(t.Context(), false); err != nil {
		t.Error(err)
	}
}
