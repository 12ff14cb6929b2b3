package readinesstest

import (
	"bytes"
	"context"
	"io/fs"
	"iter"
	"sync"

	"github.com/podlaunch/podlaunch/readiness"
)

// A Log is what a pod writes, in memory, and the test is the pod. Its Lines are
// for [readiness.Target]. The zero value is empty, and has no end; it must not
// be copied after the first use. Its methods may be called from any number of
// goroutines, in a bubble of package synctest too: who waits for a line is
// durably blocked.
type Log struct {
	mu    sync.Mutex
	data  []byte
	ended bool
	err   error
	more  chan struct{} // closed at the next change; nil while nobody waits
}

// Write adds p to the log. It never blocks. After End or Fail the error is
// [fs.ErrClosed].
func (l *Log) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.ended {
		return 0, fs.ErrClosed
	}
	l.data = append(l.data, p...)
	l.changed()
	return len(p), nil
}

// End ends the log, as that of a pod which has closed its stderr: Lines end
// without an error. What comes after the last newline is no line.
func (l *Log) End() { l.Fail(nil) }

// Fail makes the reading of the log fail with err, after what was written. Only
// the first call of End or Fail counts.
func (l *Log) Fail(err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.ended {
		return
	}
	l.ended, l.err = true, err
	l.changed()
}

// changed wakes everybody who waits. The caller holds mu.
func (l *Log) changed() {
	if l.more != nil {
		close(l.more)
		l.more = nil
	}
}

// Lines yields the complete lines of the log, from the first, at every call, as
// [readiness.Target] says: a line is gone once the next one is asked for, and
// what ends them is the end of ctx, of the log, or what was given to Fail.
func (l *Log) Lines(ctx context.Context) iter.Seq2[[]byte, error] {
	return func(yield func([]byte, error) bool) {
		var line []byte
		for offset := 0; ; {
			rest, ended, more, err := l.from(offset)
			for {
				n := bytes.IndexByte(rest, '\n')
				if n < 0 {
					break
				}
				line = append(line[:0], rest[:n]...)
				if !yield(line, nil) {
					return
				}
				clear(line)
				offset, rest = offset+n+1, rest[n+1:]
			}
			switch {
			case ended && err != nil:
				yield(nil, err)
				return
			case ended:
				return
			case ctx.Err() != nil:
				yield(nil, context.Cause(ctx))
				return
			}
			select {
			case <-more:
			case <-ctx.Done():
			}
		}
	}
}

// from returns what there is from offset on, whether the log has ended, what is
// closed when that changes, and how the log has ended. What has been written
// stays as it is.
func (l *Log) from(offset int) (rest []byte, ended bool, more <-chan struct{}, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.more == nil {
		l.more = make(chan struct{})
	}
	return l.data[offset:len(l.data):len(l.data)], l.ended, l.more, l.err
}

// Never is a Probe that never ends by itself: it waits for its ctx.
type Never struct{}

// Wait implements [readiness.Probe].
func (n Never) Wait(ctx context.Context, _ readiness.Target) (readiness.Endpoint, error) {
	<-ctx.Done()
	return readiness.Endpoint{}, &readiness.PendingError{Waiting: n.String(), Cause: context.Cause(ctx)}
}

// String describes the probe.
func (Never) String() string { return "what never comes" }

// A Switch is a Probe that waits until a test says how the wait ends, and is
// the same for every pod. The zero value is ready to use; it must not be copied
// after the first use. Its methods may be called from any number of goroutines.
type Switch struct {
	mu       sync.Mutex
	thrown   chan struct{} // nil until somebody needs it
	endpoint readiness.Endpoint
	err      error
}

// Ready ends every wait, also those to come, with e; the zero Endpoint stands
// for the Target's. Only the first call of Ready or Fail counts.
func (s *Switch) Ready(e readiness.Endpoint) { s.throw(e, nil) }

// Fail ends every wait, also those to come, with err, which must not be nil.
func (s *Switch) Fail(err error) { s.throw(readiness.Endpoint{}, err) }

func (s *Switch) throw(e readiness.Endpoint, err error) {
	thrown := s.channel()
	s.mu.Lock()
	defer s.mu.Unlock()
	select {
	case <-thrown:
	default:
		s.endpoint, s.err = e, err
		close(thrown)
	}
}

func (s *Switch) channel() chan struct{} {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.thrown == nil {
		s.thrown = make(chan struct{})
	}
	return s.thrown
}

// Wait implements [readiness.Probe]. A switch that was thrown counts even if
// ctx is done.
func (s *Switch) Wait(ctx context.Context, t readiness.Target) (readiness.Endpoint, error) {
	thrown := s.channel()
	select {
	case <-thrown:
	case <-ctx.Done():
		select {
		case <-thrown:
		default:
			return readiness.Endpoint{}, &readiness.PendingError{Waiting: s.String(), Cause: context.Cause(ctx)}
		}
	}
	switch {
	case s.err != nil:
		return readiness.Endpoint{}, s.err
	case s.endpoint == (readiness.Endpoint{}):
		return t.Endpoint, nil
	}
	return s.endpoint, nil
}

// String describes the probe.
func (*Switch) String() string { return "a test's switch" }
