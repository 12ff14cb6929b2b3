package osproc

import (
	"context"
	"errors"
	"runtime"
	"sync"
)

// A sharing has all who want to know something of the processes at the same time wait for the
// same reading of them, for each reading takes as long as there are many. Q is what somebody
// asks, and A what answers the questions of all who wait.
//
// Who waits uses no channel that another who waits has made. If one of them is in a bubble of
// testing/synctest, that would end the program.
type sharing[Q, A any] struct {
	read func(context.Context, Q) (A, error)
	add  func(all *Q, q Q) // asks q, too
	turn chan struct{}     // who has sent on it reads, or has what another has read

	mu   sync.Mutex
	next *reading[Q, A] // which has not begun; nil: nobody has asked for one
}

func newSharing[Q, A any](read func(context.Context, Q) (A, error), add func(*Q, Q)) *sharing[Q, A] {
	return &sharing[Q, A]{read: read, add: add, turn: make(chan struct{}, 1)}
}

// A reading is read once. From when that begins it belongs to who has the turn.
type reading[Q, A any] struct {
	ask  Q    // of all who wait for it
	over bool // it was read

	answer A
	err    error
}

// errNotRead is the error of a reading that has panicked.
var errNotRead = errors.New("the processes were not read, for the reading has panicked")

// take returns a reading's answer. Nothing of it was read before the call, and q was asked for
// it. One of those who wait for it reads it. The error is ctx's cause, or says why there is none.
func (s *sharing[Q, A]) take(ctx context.Context, q Q) (answer A, err error) {
	r := s.join(q)
	runtime.Gosched() // who is about to ask joins, too: with one processor nobody would
	select {
	case s.turn <- struct{}{}:
	case <-ctx.Done():
		return answer, context.Cause(ctx)
	}
	defer func() { <-s.turn }()
	if !r.over {
		s.readNow(ctx, r)
	}
	return r.answer, r.err
}

// join returns the next reading, for which q is asked, too.
func (s *sharing[Q, A]) join(q Q) *reading[Q, A] {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.next == nil {
		s.next = new(reading[Q, A])
	}
	s.add(&s.next.ask, q)
	return s.next
}

// readNow reads r for all who wait for it. Who comes from now on wants a later one. If it ends
// because ctx is done, that concerns nobody else: another who waits reads it.
func (s *sharing[Q, A]) readNow(ctx context.Context, r *reading[Q, A]) {
	s.mu.Lock()
	if s.next == r {
		s.next = nil
	}
	s.mu.Unlock()
	r.over = true
	r.err = errNotRead // unless it is
	r.answer, r.err = s.read(ctx, r.ask)
	r.over = r.err == nil || ctx.Err() == nil
}
