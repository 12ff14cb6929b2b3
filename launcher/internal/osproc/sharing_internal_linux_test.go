package osproc

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
)

// An answers is what a reading of a gate has found: how many have asked.
type answers struct{ asked int }

// A gate is a sharing whose readings wait until the test lets them go on.
type gate struct {
	*sharing[int, *answers]
	readings int
	open     chan error
}

func newGate() *gate {
	g := &gate{open: make(chan error)}
	g.sharing = newSharing(g.wait, func(all *int, one int) { *all += one })
	return g
}

func (g *gate) wait(ctx context.Context, asked int) (*answers, error) {
	g.readings++
	select {
	case err := <-g.open:
		if err != nil {
			return nil, err
		}
		return &answers{asked}, nil
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}

// A taken is what take has returned.
type taken struct {
	*answers
	err error
}

// begin takes an answer, and returns once that waits.
func (g *gate) begin(ctx context.Context) <-chan taken {
	got := make(chan taken, 1)
	go func() {
		a, err := g.take(ctx, 1)
		got <- taken{a, err}
	}()
	synctest.Wait()
	return got
}

// Who comes during a reading gets a later one, and shares it with all others who do.
func TestReadingIsShared(t *testing.T) {
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
		if one.err != nil || two.err != nil || one.asked != 1 || two.asked != len(later) {
			t.Errorf("the first is %+v, and the second %+v", one, two)
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
func TestReadingFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGate()
		want := errors.New("no /proc")
		for _, err := range []error{nil, want, nil} {
			got := g.begin(t.Context())
			g.open <- err
			if got := <-got; got.err != err || (got.answers == nil) != (err != nil) {
				t.Errorf("%v, want %v", got, err)
			}
		}
	})
}

// Who does not wait any more leaves the turn to the next one who comes, even if nobody
// waits when the turn is passed on.
func TestReadingIsGivenUp(t *testing.T) {
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
		if got := <-third; got.answers == nil || g.readings != 2 {
			t.Errorf("%v, after %d readings, want 2", got, g.readings)
		}
		synctest.Wait()
		if len(g.turn) > 0 || g.next != nil {
			t.Errorf("turn %v, next %v, although nobody waits", len(g.turn), g.next)
		}
	})
}

// Who waits in a bubble of testing/synctest and who waits outside share a reading. Each
// of them may read.
func TestReadingInABubble(t *testing.T) {
	g := newGate()
	take := func(t *testing.T) {
		if a, err := g.take(t.Context(), 1); a == nil {
			t.Errorf("%v, %v", a, err)
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
func TestReadingPanics(t *testing.T) {
	g := newGate()
	other := g.join(1) // waits
	g.read = func(context.Context, int) (*answers, error) { panic("out of memory") }
	func() {
		defer func() {
			if recover() == nil {
				t.Error("nobody learns of the panic")
			}
		}()
		g.take(t.Context(), 1)
	}()
	if !other.over || other.err != errNotRead {
		t.Errorf("the other has %+v, want %v", other, errNotRead)
	}
	g.read = func(context.Context, int) (*answers, error) { return new(answers), nil }
	if a, err := g.take(t.Context(), 1); a == nil {
		t.Errorf("after the panic: %v", err)
	}
}

// Who reads for others and gives up has read for nobody: one of them reads then.
func TestReaderGivesUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGate()
		first := g.begin(t.Context())
		ctx, cancel := context.WithCancel(t.Context())
		reader := g.begin(ctx)
		other := g.begin(t.Context())
		g.open <- nil // now one of the two reads
		<-first
		synctest.Wait()
		cancel()
		if got := <-reader; !errors.Is(got.err, context.Canceled) {
			t.Errorf("%+v, want that it is cancelled", got)
		}
		synctest.Wait()
		later := g.begin(t.Context())
		g.open <- nil
		if got := <-other; got.err != nil || got.asked != 2 {
			t.Errorf("the other has %+v, want an answer to 2", got)
		}
		g.open <- nil
		if got := <-later; got.err != nil || got.asked != 1 {
			t.Errorf("who came later has %+v, want an answer to 1", got)
		}
	})
}
