package unixproc

import "testing"

// The offset of boottime is in seconds and nanoseconds, and may be negative.
func TestBoottimeTicks(t *testing.T) {
	for text, want := range map[string]int64{
		"monotonic 5 0\nboottime 0 0\n":                        0,
		"monotonic           0         0\nboottime 100000 0\n": 100000 * 100,
		"boottime         -3 20000000\n":                       -298,
		"boottime 1 9999999\n":                                 100,
	} {
		if got, err := boottimeTicks(text); err != nil || got != want {
			t.Errorf("of %q it is %d, %v; want %d", text, got, err, want)
		}
	}
	if got, err := boottimeTicks("monotonic 5 0\n"); err == nil {
		t.Errorf("without boottime it is %d", got)
	}
}
