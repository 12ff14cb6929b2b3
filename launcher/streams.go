package launcher

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/podlaunch/podlaunch/logsource"
)

const (
	// firstChunk and maxChunk are what a writer gets at once: at first, and when the pod
	// writes much. A pod that says little takes little memory.
	firstChunk = 4 << 10
	maxChunk   = 128 << 10
)

// errOver is why the context of a reader ends with the pod, or by Release. Read returns
// io.EOF for it. It is not io.EOF itself, which other errors wrap too: a stream that was
// cut is not the end of the log.
var errOver = fmt.Errorf("the pod is gone, or was released: %w", io.EOF)

// A podStreams hands what a pod writes to Spec.Stdout and Spec.Stderr, and has the logs
// tended that need it (logsource.Log.Tend). Each stream has a follower of its own and one
// goroutine, so a slow writer is behind and holds up nothing: the file is the queue. The
// goroutines end when the pod is gone, or by Release, once their writers have got what was
// written by then. Those of the logs that are tended end then, too. If the launch fails,
// finish joins them all, within its bound. Otherwise [Pod.Drain] waits for the streams.
//
// A nil podStreams has no streams.
type podStreams struct {
	ctx     context.Context // of the readers
	end     context.CancelCauseFunc
	log     hclog.Logger
	list    []*stream
	stderr  *stream          // of the log; nil if nobody wants it
	tend    []*logsource.Log // that need it
	tending []<-chan outcome[struct{}]
	started bool          // the goroutines run
	unbind  func() bool   // has the streams outlive the Pod that they end with
	crashed chan struct{} // closed when a writer panics during the launch

	mu    sync.Mutex
	kept  bool   // the launch is over, and the pod stays: nobody takes a panic any more
	crash *crash // of the first writer that has panicked
}

// A stream is one of them.
type stream struct {
	field string // its name, for errors
	to    io.Writer
	from  io.ReadCloser
	of    *podStreams
	place atomic.Int64  // in the log: what lies before it the writer has got
	done  chan struct{} // closed when the goroutine has ended, and err is set
	err   error

	mu      sync.Mutex
	writing bool // a Write runs
	closed  bool // none may begin any more
}

// newStreams returns the streams of a launch. ctx gives its values to those who read.
func newStreams(ctx context.Context, log hclog.Logger) *podStreams {
	s := &podStreams{log: log, crashed: make(chan struct{})}
	// Not ctx itself: the streams outlive the launch.
	s.ctx, s.end = context.WithCancelCause(context.WithoutCancel(ctx))
	return s
}

// followLog is log.Follow, which is a strategy's: what returns neither a reader nor an error
// has failed.
func followLog(ctx context.Context, log *logsource.Log) (io.ReadCloser, error) {
	r, err := log.Follow(ctx)
	if err == nil && r == nil {
		err = errors.New("Follow of the log source returned neither a reader nor an error")
	}
	return r, err
}

// add has what is written to log go to w, which is field. The reader is opened here,
// and so it fails before anything is started.
func (s *podStreams) add(field string, w io.Writer, log *logsource.Log) (*stream, error) {
	from, err := followLog(s.ctx, log)
	if err != nil {
		return nil, fmt.Errorf("follow the log for %s: %w", field, err)
	}
	st := &stream{field: field, to: w, from: from, of: s, done: make(chan struct{})}
	s.list = append(s.list, st)
	return st, nil
}

// start begins to write what the pod writes, until watching ends, with the pod or by
// Release.
func (s *podStreams) start(watching context.Context) {
	if s == nil {
		return
	}
	s.started = true
	s.unbind = context.AfterFunc(watching, func() { s.end(errOver) })
	for _, st := range s.list {
		go st.run()
	}
}

// endWith lets the streams end with watching instead. The Pod that they were started with
// is still watched.
func (s *podStreams) endWith(watching context.Context) {
	if s == nil {
		return
	}
	s.unbind()
	s.unbind = context.AfterFunc(watching, func() { s.end(errOver) })
}

// tendLogs begins to free what is old of the logs, until watching ends. It is called once
// the pod is ready: a probe may read the log from its beginning until then.
func (s *podStreams) tendLogs() {
	if s == nil {
		return
	}
	for _, log := range s.tend {
		run, err := log.Tend(s.ctx)
		if err != nil {
			s.log.Warn("the pod's log is not tended", "error", err)
			continue
		}
		s.tending = append(s.tending, spawn(func() (struct{}, error) {
			err := run()
			if err != nil {
				s.log.Warn("the pod's log is not tended any more", "error", err)
			}
			return struct{}{}, err
		}))
	}
}

// panicked returns what is closed when a writer panics during the launch.
func (s *podStreams) panicked() <-chan struct{} {
	if s == nil {
		return nil
	}
	return s.crashed
}

// taken returns the panic of a writer, if there was one.
func (s *podStreams) taken() *crash {
	if s == nil {
		return nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.crash
}

// keep notes that the pod stays. It returns the panic of a writer that came before that.
// A writer's later panic ends the program.
func (s *podStreams) keep() *crash {
	if s == nil {
		return nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.kept = true
	return s.crash
}

// give leaves c to the launch, and reports whether there still is one to take it.
func (s *podStreams) give(c *crash) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.kept {
		return false
	}
	if s.crash == nil {
		s.crash = c
		close(s.crashed)
	}
	return true
}

// finish ends the streams of a launch that has failed. It returns when the writers have
// got all, or have had their time, and none is called any more. It calls note with what a
// writer did not get, and returns which of them have not come back from a Write. The
// panic of a writer goes on.
func (s *podStreams) finish(note func(string)) error {
	s.end(errOver)
	if !s.started {
		for _, st := range s.list {
			st.from.Close()
		}
		return nil
	}
	var left []error
	end := time.Now().Add(drainPatience)
	for _, st := range s.list {
		done := st.isDone(time.Until(end))
		if !done {
			st.close()
			note(fmt.Sprintf("%s has not got all of the output within %v", st.field, drainPatience))
			if done = st.isDone(callPatience); !done {
				left = append(left, st.stuck())
				st.from.Close() // the goroutine does not need it any more
			}
		}
		if done && st.err != nil {
			note(st.failure().Error())
		}
	}
	crash := s.taken()
	for _, tending := range s.tending {
		o, ok := receive(tending, patience)
		if !ok {
			left = append(left, errors.New("the log's Tend has not returned"))
		}
		crash = cmp.Or(crash, o.crash)
	}
	if crash != nil {
		crash.pass()
	}
	return errors.Join(left...)
}

// isDone reports whether the goroutine has ended, or ends within bound.
func (st *stream) isDone(bound time.Duration) bool {
	ctx, cancel := context.WithTimeout(context.Background(), bound)
	defer cancel()
	return receiveOr(ctx, st.done)
}

// run is the stream's goroutine.
func (st *stream) run() {
	returned := false
	defer func() {
		if !returned {
			// After a Goexit that nobody takes, the goroutine just ends.
			v := recover()
			st.err = errors.New("its Write has not returned")
			if !st.of.give(crashed(v)) && v != nil {
				panic(v)
			}
		}
		st.from.Close()
		close(st.done)
	}()
	if st.err = st.copy(); st.err != nil {
		st.of.log.Warn("a writer gets no more of the pod's output", "error", st.failure())
	}
	returned = true
}

// copy hands to the writer what the pod has written, until there will be no more.
func (st *stream) copy() error {
	buf := make([]byte, firstChunk)
	for {
		n, err := st.from.Read(buf)
		if n > 0 {
			taken, writeErr, ok := st.write(buf[:n])
			if !ok {
				return nil // finish has said so
			}
			st.place.Store(placeOf(st.from, st.place.Load()+int64(n)) - int64(n-taken))
			if writeErr != nil {
				return writeErr
			}
		}
		switch {
		case errors.Is(err, errOver) || err == io.EOF:
			return lossOf(st.from)
		case err != nil:
			return fmt.Errorf("read the output: %w", err)
		case n == len(buf) && n < maxChunk:
			buf = make([]byte, 4*len(buf))
		}
	}
}

// lossOf returns an error if r could not return all of the log.
func lossOf(r io.Reader) error {
	if lossy, ok := r.(logsource.Lossy); ok && lossy.Lost() > 0 {
		return fmt.Errorf("%d bytes of the log were freed before they were read", lossy.Lost())
	}
	return nil
}

// write makes one call of the writer. ok is false if none may begin any more.
func (st *stream) write(p []byte) (n int, err error, ok bool) {
	st.mu.Lock()
	st.writing = !st.closed
	ok = st.writing
	st.mu.Unlock()
	if !ok {
		return 0, nil, false
	}
	n, err = st.to.Write(p)
	st.mu.Lock()
	st.writing = false
	st.mu.Unlock()
	switch {
	case n < 0 || n > len(p):
		return 0, fmt.Errorf("it has taken %d of %d bytes, which cannot be", n, len(p)), true
	case err == nil && n < len(p):
		err = io.ErrShortWrite
	}
	return n, err, true
}

// close lets no Write begin any more.
func (st *stream) close() {
	st.mu.Lock()
	defer st.mu.Unlock()
	st.closed = true
}

// stuck says what the goroutine has not returned from.
func (st *stream) stuck() error {
	st.mu.Lock()
	defer st.mu.Unlock()
	if st.writing {
		return fmt.Errorf("%s has not returned from its last Write", st.field)
	}
	return fmt.Errorf("the reader of %s has not come to its end", st.field)
}

// failure is err, with whose it is.
func (st *stream) failure() error {
	if st.err == nil {
		return nil
	}
	return fmt.Errorf("%s: %w", st.field, st.err)
}

// placeOf returns the place of r in the log. A reader that does not tell has returned
// count bytes.
func placeOf(r io.Reader, count int64) int64 {
	if seeker, ok := r.(io.Seeker); ok {
		if place, err := seeker.Seek(0, io.SeekCurrent); err == nil {
			return place
		}
	}
	return count
}
