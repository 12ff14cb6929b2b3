package osproc

import (
	"errors"
	"io/fs"
	"testing"

	"golang.org/x/sys/unix"
)

// What keeps /proc from showing a process is no proof that there is none.
func TestProves(t *testing.T) {
	for _, missing := range []error{unix.ENOENT, unix.EACCES, unix.EPERM, unix.ENOTDIR, unix.EINVAL} {
		err := proves(&fs.PathError{Op: "open", Path: "/proc/self", Err: missing})
		if !errors.Is(err, errors.ErrUnsupported) || errors.Is(err, fs.ErrNotExist) {
			t.Errorf("of %v it is %v", missing, err)
		}
	}
	if err := proves(unix.EMFILE); err != unix.EMFILE {
		t.Errorf("of %v it is %v", unix.EMFILE, err)
	}
}

// The offset of boottime is in seconds and nanoseconds, and may be negative.
func TestBoottimeTicks(t *testing.T) {
	for text, want := range map[string]struct {
		ticks int64
		whole bool
	}{
		"monotonic 5 0\nboottime 0 0\n":                        {0, true},
		"monotonic           0         0\nboottime 100000 0\n": {100000 * 100, true},
		"boottime         -3 20000000\n":                       {-298, true},
		"boottime 1 9999999\n":                                 {100, false},
	} {
		if got, whole, err := boottimeTicks(text); err != nil || got != want.ticks || whole != want.whole {
			t.Errorf("of %q it is %d, %v, %v; want %v", text, got, whole, err, want)
		}
	}
	if got, _, err := boottimeTicks("monotonic 5 0\n"); err == nil {
		t.Errorf("without boottime it is %d", got)
	}
}
