package osproc

import (
	"context"
	"errors"
	"os"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
)

// A gate is the reading of a sharing, which waits until the test lets it go on.
type gate struct {
	*sharing
	readings int
	open     chan error
}

func newGate() *gate {
	g := &gate{open: make(chan error)}
	g.sharing = newSharing(func(question) (*snapshot, error) {
		g.readings++
		if err := <-g.open; err != nil {
			return nil, err
		}
		return newSnapshot(nil), nil
	})
	return g
}

// A taken is what take has returned.
type taken struct {
	snapshot *snapshot
	err      error
}

// begin takes a snapshot, and returns once that waits.
func (g *gate) begin(ctx context.Context) <-chan taken {
	got := make(chan taken, 1)
	go func() {
		snapshot, err := g.take(ctx, question{})
		got <- taken{snapshot, err}
	}()
	synctest.Wait()
	return got
}

// Who comes while a snapshot is read gets a later one, and shares it with all others who do.
func TestSnapshotIsShared(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGate()
		first := g.begin(t.Context())
		var later []<-chan taken
		for range 100 {
			later = append(later, g.begin(t.Context()))
		}
		g.open <- nil
		g.open <- nil
		one, two := <-first, <-later[0]
		if one.snapshot == nil || two.snapshot == nil || one == two {
			t.Errorf("the first is %v, and the second %v", one, two)
		}
		for _, l := range later[1:] {
			if got := <-l; got != two {
				t.Errorf("%v, want %v", got, two)
			}
		}
		if g.readings != 2 {
			t.Errorf("%d readings, want 2", g.readings)
		}
	})
}

// The error of a reading goes to all who wait for it, and the next one is read anew.
func TestSnapshotFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGate()
		want := errors.New("no /proc")
		for _, err := range []error{nil, want, nil} {
			got := g.begin(t.Context())
			g.open <- err
			if got := <-got; got.err != err || (got.snapshot == nil) != (err != nil) {
				t.Errorf("%v, want %v", got, err)
			}
		}
	})
}

// Who does not wait any more leaves the turn to the next one who comes, even if nobody
// waits when the turn is passed on.
func TestSnapshotIsGivenUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGate()
		first := g.begin(t.Context())
		ctx, cancel := context.WithCancel(t.Context())
		second := g.begin(ctx)
		cancel()
		if got := <-second; !errors.Is(got.err, context.Canceled) {
			t.Errorf("%v, want that it is cancelled", got)
		}
		g.open <- nil
		<-first
		synctest.Wait()
		third := g.begin(t.Context())
		g.open <- nil
		if got := <-third; got.snapshot == nil || g.readings != 2 {
			t.Errorf("%v, after %d readings, want 2", got, g.readings)
		}
		synctest.Wait()
		if len(g.turn) > 0 || g.next != nil {
			t.Errorf("turn %v, next %v, although nobody waits", len(g.turn), g.next)
		}
	})
}

// Who waits in a bubble of testing/synctest and who waits outside share a snapshot. Each
// of them may read it.
func TestSnapshotOfABubble(t *testing.T) {
	g := newGate()
	take := func(t *testing.T) {
		if s, err := g.take(t.Context(), question{}); s == nil {
			t.Errorf("%v, %v", s, err)
		}
	}
	var all sync.WaitGroup
	for range 50 {
		all.Go(func() { take(t) })
		all.Go(func() { synctest.Test(t, take) })
	}
	over := make(chan struct{})
	go func() {
		all.Wait()
		close(over)
	}()
	for {
		select {
		case g.open <- nil:
		case <-over:
			return
		}
	}
}

// A reading that panics is an error for the others who wait for it, and the next one is read.
func TestSnapshotPanics(t *testing.T) {
	g := newGate()
	other := g.join(question{}) // waits
	g.read = func(question) (*snapshot, error) { panic("out of memory") }
	func() {
		defer func() {
			if recover() == nil {
				t.Error("nobody learns of the panic")
			}
		}()
		g.take(t.Context(), question{})
	}()
	if !other.begun || other.err != errNotRead {
		t.Errorf("the other has %+v, want %v", other, errNotRead)
	}
	g.read = func(question) (*snapshot, error) { return newSnapshot(nil), nil }
	if s, err := g.take(t.Context(), question{}); s == nil {
		t.Errorf("after the panic: %v", err)
	}
}

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
	const kthreadd = 2
	st, err := ReadStat(kthreadd) // may be hidden (hidepid)
	first := h.namespace == firstPIDNamespace
	if there := first && st.Session == 0; err == nil && there != slices.Contains(s.apart, kthreadd) || !first && len(s.apart) > 0 {
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
