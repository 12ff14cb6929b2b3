package unixproc

import (
	"os"
	"testing"
)

// A process is a holder only if it holds the lock after it was identified: one that
// has let go meanwhile, or another with its number, would be ended for it.
func TestHolderIsLookedAtTwice(t *testing.T) {
	for name, c := range map[string]struct {
		looks []bool
		want  bool
	}{
		"it holds the lock":       {[]bool{true, true}, true},
		"it has let go meanwhile": {[]bool{true, false}, false},
		"it does not hold it":     {[]bool{false}, false},
	} {
		looks := 0
		h, ok := lockHolder(os.Getpid(), func() (LockHolder, bool) {
			looks++
			return LockHolder{Taker: looks}, c.looks[looks-1]
		})
		if ok != c.want || looks != len(c.looks) {
			t.Errorf("%s: lockHolder returned %v after %d looks", name, ok, looks)
		}
		if ok && (h.PID != os.Getpid() || h.Taker != 2) {
			t.Errorf("%s: it is %+v, want what the second look has shown", name, h)
		}
	}
}
