package launcher

import (
	"context"
	"fmt"
	"os"
	"sync"
	"sync/atomic"
)

// mostLooks is how many looks at files a List takes at a time. If the filesystem hangs,
// each keeps a thread, and a program that lists its pods again and again collects them.
// They take the processor's time more than they wait, so that more would gain little.
const mostLooks = 3

// errHung says that mostLooks looks hang, so that List takes no more.
var errHung = fmt.Errorf("%d looks at its files have not returned: its filesystem does not answer: %w", mostLooks, os.ErrDeadlineExceeded)

// looks are the looks at files of one List.
type looks struct {
	room  chan struct{} // holds one for each look that goes on
	hung  atomic.Int32  // those of them that their callers have given up
	stuck chan struct{} // closed once all of them hang
	stick func()        // closes it, once
}

func newLooks() *looks {
	l := &looks{room: make(chan struct{}, mostLooks), stuck: make(chan struct{})}
	l.stick = sync.OnceFunc(func() { close(l.stuck) })
	return l
}

// begin waits until there is room for one more look. It returns errHung if there will be
// none.
func (l *looks) begin(ctx context.Context) (*look, error) {
	select {
	case l.room <- struct{}{}:
		return &look{of: l}, nil
	case <-l.stuck:
		return nil, errHung
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}

// A look goes on. The goroutine that takes it calls end. The goroutine that
// waits for it calls giveUp when it does not wait any more, whether the look has ended or
// not.
type look struct {
	of    *looks
	state atomic.Int32
}

// The states of a look.
const (
	lookGoesOn int32 = iota
	lookHangs
	lookEnded
)

// end makes room for the next look. A second call does nothing.
func (k *look) end() {
	switch k.state.Swap(lookEnded) {
	case lookEnded:
		return
	case lookHangs:
		k.of.hung.Add(-1)
	}
	<-k.of.room
}

// giveUp notes that the look hangs, unless it has ended.
func (k *look) giveUp() {
	if k.state.CompareAndSwap(lookGoesOn, lookHangs) && k.of.hung.Add(1) == mostLooks {
		k.of.stick()
	}
}
