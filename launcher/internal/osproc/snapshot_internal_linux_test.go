package osproc

import (
	"os"
	"slices"
	"testing"
)

// The threads of the kernel are looked at only for a family that has not been forked by this
// program, or whose first process is in no session. In another pid namespace than the first
// they are not there, and all processes are looked at.
func TestSnapshotApart(t *testing.T) {
	h, err := place()
	if err != nil {
		t.Fatal(err)
	}
	s, err := readSnapshot(question{})
	if err != nil {
		t.Fatal(err)
	}
	above, err := Lineage() // a helper that the kernel has started comes from kthreadd
	if err != nil {
		t.Fatal(err)
	}
	const kthreadd = 2
	st, err := ReadStat(kthreadd) // may be hidden (hidepid)
	first := h.namespace == firstPIDNamespace
	if there := first && st.Session == 0 && !above[kthreadd]; err == nil && there != slices.Contains(s.apart, kthreadd) || !first && len(s.apart) > 0 {
		t.Errorf("in the first pid namespace: %v, kthreadd is %+v, and %d processes are apart", first, st, len(s.apart))
	}
	for _, m := range s.all {
		if h.namespace == firstPIDNamespace && m.Session == 0 {
			t.Errorf("%+v is in no session, and not apart", m)
		}
	}
	whole, err := s.whole()
	if err != nil {
		t.Fatal(err)
	}
	for _, pid := range s.apart {
		switch m := whole.byPID[pid]; {
		case m == nil: // it has to have ended since
			if st, err := ReadStat(pid); err == nil && !st.Dead() {
				t.Errorf("pid %d is apart, and was left out: %+v", pid, st)
			}
		case m.Session != 0 && m.Session != pid: // it may have begun a session of its own since
			t.Errorf("pid %d is apart: %+v", pid, m)
		}
		if s.byPID[pid] != nil {
			t.Errorf("pid %d is apart, and it is not", pid)
		}
	}
	if again, err := s.whole(); len(whole.all) < len(s.all) || again != whole || err != nil {
		t.Errorf("%d of %d, and then %p after %p, %v", len(s.all), len(whole.all), again, whole, err)
	}
	const nobody = 1 << 22 // no pid is as high: PID_MAX_LIMIT
	if sessionOf(nobody) != -1 || sessionOf(os.Getpid()) < 0 {
		t.Errorf("who is not there is in session %d, and we are in %d", sessionOf(nobody), sessionOf(os.Getpid()))
	}
}
