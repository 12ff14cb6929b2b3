package logsourcetest

import (
	"context"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"sync"

	"github.com/podlaunch/podlaunch/logsource"
)

// Memory is a [logsource.Source] whose logs are in memory. The zero value is
// ready to use; it must not be copied after the first use. Its logs have no
// Sink and no Path: a test, or the Starter that a test gives to a launcher,
// writes them through [Memory.Deliver].
//
// A log grows with what is written to it, and is kept until it is closed.
type Memory struct {
	mu   sync.Mutex
	logs map[logsource.Launch]*Output
}

var (
	_ logsource.Source = (*Memory)(nil)
	_ Deliverer        = (*Memory)(nil)
)

// Open implements [logsource.Source]. It fails only if ctx is done.
func (m *Memory) Open(ctx context.Context, launch logsource.Launch) (*logsource.Log, error) {
	if err := context.Cause(ctx); err != nil {
		return nil, err
	}
	out := new(Output)
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.logs == nil {
		m.logs = make(map[logsource.Launch]*Output)
	}
	m.logs[launch] = out
	return &logsource.Log{Follow: out.Follow, Close: func() error { return m.forget(launch, out) }}, nil
}

func (m *Memory) forget(launch logsource.Launch, out *Output) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.logs[launch] == out {
		delete(m.logs, launch)
	}
	return nil
}

// Deliver implements [Deliverer]: what it returns is the [Output] of launch,
// as an io.WriteCloser. The error wraps [fs.ErrNotExist] if the log of launch
// is not open. All of launch counts, and of two logs that were opened for the
// same launch it is the later one.
func (m *Memory) Deliver(launch logsource.Launch) (io.WriteCloser, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	out, ok := m.logs[launch]
	if !ok {
		return nil, fmt.Errorf("launch %v of the pod %q has no open log: %w", launch.ID, launch.Name, fs.ErrNotExist)
	}
	return out, nil
}

// An Output is what one pod writes, in memory. The zero value is empty and
// ready to use; it must not be copied after the first use. Its methods may be
// called from any number of goroutines, in a bubble of package synctest too: a
// reader that waits is durably blocked.
type Output struct {
	mu    sync.Mutex
	data  []byte
	ended bool
	more  chan struct{} // closed at the next change; nil while nobody waits
}

// Write adds p to the output. It never blocks. After Close the error is
// [fs.ErrClosed].
func (o *Output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.ended {
		return 0, fs.ErrClosed
	}
	o.data = append(o.data, p...)
	o.changed()
	return len(p), nil
}

// Close ends the output, as when the last writer of a pipe has gone: readers
// get what there is, then io.EOF. An Output that is not closed has no end, like
// a file. The error is [fs.ErrClosed] if it was closed already.
func (o *Output) Close() error {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.ended {
		return fs.ErrClosed
	}
	o.ended = true
	o.changed()
	return nil
}

// changed wakes every reader. The caller holds mu.
func (o *Output) changed() {
	if o.more != nil {
		close(o.more)
		o.more = nil
	}
}

// Follow reads the output from its first byte, as [logsource.Log.Follow] says.
// It never fails. The readers need not be closed.
func (o *Output) Follow(ctx context.Context) (io.ReadCloser, error) {
	return &reader{out: o, ctx: ctx, closed: make(chan struct{})}, nil
}

// Lines yields the complete lines of the output, from the first, at every call,
// and can be the Lines of a readiness.Target: it ends with the cause of ctx's
// end, or without an error after Close.
func (o *Output) Lines(ctx context.Context) iter.Seq2[[]byte, error] {
	return func(yield func([]byte, error) bool) {
		r := &reader{out: o, ctx: ctx, closed: make(chan struct{})}
		for line, err := range logsource.Lines(r) {
			switch {
			case err == io.EOF:
				return
			case err != nil:
				yield(nil, err) // what comes with it is not a complete line
				return
			case !yield(line, nil):
				return
			}
		}
	}
}

// A reader is one follower of an Output.
type reader struct {
	out    *Output
	ctx    context.Context
	closed chan struct{}
	once   sync.Once // of Close

	offset int
	ending bool // ctx is done
	end    int  // what the output held then, if ending
}

// Read implements the contract of Log.Follow.
func (r *reader) Read(p []byte) (int, error) {
	for {
		n, more, err := r.look(p)
		if n > 0 || err != nil || len(p) == 0 {
			return n, err
		}
		select {
		case <-more:
		case <-r.ctx.Done():
		case <-r.closed:
		}
	}
}

// look reads what is there now. If that is nothing, more tells of a change.
func (r *reader) look(p []byte) (n int, more <-chan struct{}, err error) {
	select {
	case <-r.closed:
		return 0, nil, fs.ErrClosed
	default:
	}
	o := r.out
	o.mu.Lock()
	defer o.mu.Unlock()
	if !r.ending && r.ctx.Err() != nil {
		r.ending, r.end = true, len(o.data)
	}
	there := o.data[r.offset:]
	if r.ending {
		there = o.data[r.offset:r.end]
	}
	n = copy(p, there)
	r.offset += n
	switch {
	case len(there) > 0:
	case r.ending:
		err = context.Cause(r.ctx)
	case o.ended:
		err = io.EOF
	case o.more == nil:
		o.more = make(chan struct{})
	}
	return n, o.more, err
}

// Close implements io.Closer. A Read that waits returns [fs.ErrClosed].
func (r *reader) Close() error {
	err := fs.ErrClosed
	r.once.Do(func() {
		close(r.closed)
		err = nil
	})
	return err
}
