package nomad

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/cenkalti/backoff/v4"
	"github.com/google/uuid"

	"github.com/podlaunch/podlaunch/launcher"
	"github.com/podlaunch/podlaunch/logsource"
)

// Log reads what a pod writes from the engine, which keeps it on the pod's node:
// so it has neither a Sink nor a Path. The zero value is ready to use. It is to be
// used with a [Starter] of the same Engine.
//
// What is read is a stream that the node sends. It comes in batches, up to half
// a second after it was written, and does not end when the pod does; so the
// engine is asked what has become of the pod whenever nothing has come for a
// second. A stream that is cut, or falls silent, is opened again where it broke
// off. The node keeps the last 50 MiB; to have missed some is [ErrLogGap].
type Log struct {
	Engine Engine

	// Stream is which of the pod's two is read: "stderr" or "stdout". Empty means
	// stderr, where a pod says that it is ready. Spec.LogStdout makes no difference:
	// the engine keeps the two apart.
	Stream string
}

var (
	_ logsource.Source     = Log{}
	_ logsource.Refollower = Log{}
)

// ErrLogGap says that the engine has thrown away output that was not read yet.
var ErrLogGap = errors.New("the engine has thrown away output that was not read")

const (
	// silence is how long a stream may be without as much as a heartbeat, of
	// which there is one each second, before it is taken for broken.
	silence = 5 * time.Second

	// lastLook is how long it may take, once a reader's context is done, to read
	// what was written by then: all of it if the pod has ended, or the last bytes
	// if no more are wanted. Otherwise the launch is over and nobody waits long
	// for a probe: briefLook.
	lastLook  = 1500 * time.Millisecond
	briefLook = 300 * time.Millisecond
)

// Open implements [logsource.Source]. It does not ask the engine for anything.
func (l Log) Open(ctx context.Context, launch logsource.Launch) (*logsource.Log, error) {
	if err := context.Cause(ctx); err != nil {
		return nil, err
	}
	if err := l.complete(); err != nil {
		return nil, err
	}
	return &logsource.Log{Follow: func(ctx context.Context) (io.ReadCloser, error) {
		return l.newReader(ctx, launch.Name, launch.ID), nil
	}}, nil
}

// Refollow implements [logsource.Refollower]. The engine has the log for as long as it
// knows the allocation, also after the job was removed. To read on from now the log is
// read once and thrown away; what was written in the last half second may come after
// that all the same. A log from which the node has thrown files away cannot be followed
// any more ([ErrLogGap]).
func (l Log) Refollow(ctx context.Context, past logsource.Past, fromStart bool) (io.ReadCloser, error) {
	if err := l.complete(); err != nil {
		return nil, err
	}
	r := l.newReader(ctx, past.Name, past.ID)
	if err := r.resume(fromStart); err != nil {
		r.Close()
		return nil, err
	}
	return r, nil
}

// complete sets Stream, and makes sure that there is one.
func (l *Log) complete() error {
	switch l.Stream {
	case "":
		l.Stream = "stderr"
	case "stdout", "stderr":
	default:
		return fmt.Errorf("nomad.Log.Stream: it is %q, and must be stdout or stderr", l.Stream)
	}
	return nil
}

func (l Log) newReader(ctx context.Context, name string, id uuid.UUID) *reader {
	r := &reader{Log: l, ctx: ctx, job: JobID(name, id), delay: newDelay(), free: func() {}}
	r.closing, r.close = context.WithCancelCause(ctx)
	return r
}

// A reader is one follower of a log. No goroutine belongs to it.
type reader struct {
	Log
	ctx     context.Context // the caller's
	closing context.Context // ends with it, or by Close
	close   context.CancelCauseFunc
	job     string

	mu   sync.Mutex // what is below belongs to the reading goroutine
	skip int64      // begin with so many bytes before the end; 0: with the first

	sub    *subscription // from the first step on
	alloc  string        // empty as long as it is not known
	stream *stream
	busy   time.Time // since when there is no connection for it
	begun  bool      // something was read
	total  int64     // bytes that were
	file   int       // in which of the node's files that ended
	rest   []byte    // was read, and not delivered yet
	delay  *backoff.ExponentialBackOff

	end   error           // what Read returns after what there still is; nil: there may be more
	bound context.Context // of that; nil: closing
	free  func()          // bound
	err   error           // what Read returns from now on
}

// Close implements [io.Closer]. A Read that waits returns.
func (r *reader) Close() error {
	r.close(fs.ErrClosed)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.hangUp()
	r.free()
	if r.sub != nil {
		r.sub.close()
	}
	return nil
}

// SkipToLast implements [logsource.Skipper].
func (r *reader) SkipToLast(n int64) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.skip = n
	return nil
}

// Read implements [logsource.Log.Follow].
func (r *reader) Read(p []byte) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for len(r.rest) == 0 && r.err == nil {
		r.advance()
	}
	n := copy(p, r.rest)
	r.rest = r.rest[n:]
	if n > 0 || len(p) == 0 {
		return n, nil
	}
	return 0, r.err
}

// advance takes one step: to the allocation, to its log, or on in it.
func (r *reader) advance() {
	switch {
	case r.bound != nil || r.closing.Err() == nil:
	case r.ctx.Err() == nil: // by Close
		r.err = context.Cause(r.closing)
		return
	default:
		r.hangUp()
		r.end = context.Cause(r.closing)
		look := briefLook
		switch {
		case errors.Is(r.end, io.EOF): // by Pod.Follow: the pod is over, and all of it is wanted
			look = callPatience
		case r.skip > 0 || errors.Is(r.end, launcher.ErrExitedEarly):
			look = lastLook
		}
		r.bound, r.free = context.WithTimeout(context.WithoutCancel(r.ctx), look)
	}
	ctx := r.closing
	if r.bound != nil {
		ctx = r.bound
	}
	err := r.step(ctx)
	switch {
	case err == nil:
	case r.bound == nil && r.closing.Err() != nil: // the next step is the last look
	case r.bound != nil && !errors.Is(r.end, io.EOF):
		r.err = r.end // what could be had was had
	case errors.Is(err, ErrBusy) && r.isBusyLong():
		r.err = err
	case passing(err) && ctx.Err() == nil:
		pause(ctx, r.delay.NextBackOff())
	case isStatus(err, http.StatusNotFound):
		r.err = fmt.Errorf("%w: it does not know the allocation %s of the job %s", ErrLost, r.alloc, r.job)
	default:
		r.err = err
	}
}

// isBusyLong reports whether there has been no connection for the log for so long that
// it is better to say so.
func (r *reader) isBusyLong() bool {
	if r.busy.IsZero() {
		r.busy = time.Now()
	}
	return time.Since(r.busy) > callPatience
}

func (r *reader) step(ctx context.Context) error {
	if r.sub == nil {
		r.sub = r.Engine.subscribe(r.job)
	}
	switch {
	case r.alloc == "":
		return r.find(ctx)
	case r.stream == nil:
		return r.connect(ctx)
	}
	f, err := r.stream.next()
	switch {
	case err == io.EOF && r.end != nil:
		r.err = r.end
		return nil
	case err != nil:
		r.hangUp()
		return fmt.Errorf("%w: the log was cut: %w", ErrUnreachable, err)
	case len(f.Data) > 0:
		return r.take(f)
	case r.end == nil && f.heartbeat():
		if err := r.lookUp(); err != nil {
			return err
		}
		r.takeTurns()
	}
	return nil
}

// takeTurns lets another log have the connection if there is none for it, while this one has
// nothing new. The reader goes on later where it was: so not if it cannot, see take and connect.
func (r *reader) takeTurns() {
	if r.skip == 0 && r.file < logFiles-1 && r.Engine.road().waiting.Load() > 0 {
		r.hangUp()
	}
}

// find learns the allocation, if there is one, or waits until there is.
func (r *reader) find(ctx context.Context) error {
	for {
		all, complete, err := r.sub.look()
		switch {
		case len(all) > 0:
			r.alloc = first(all).ID
			return nil
		case err != nil:
			return err
		case complete && r.end != nil:
			r.err = r.end
			return nil
		case !r.sub.wait(ctx):
			return context.Cause(ctx)
		}
	}
}

// resume finds the allocation of a launch that is over. If the log is to be read from
// now on, it leaves out what there is.
func (r *reader) resume(fromStart bool) error {
	err := r.locate(r.ctx, callPatience)
	if err != nil && r.ctx.Err() != nil { // then what was written by now is wanted
		err = r.locate(context.WithoutCancel(r.ctx), lastLook)
	}
	if err != nil || fromStart {
		return err
	}
	for before := int64(-1); before < r.total; { // until it is over, or was cut twice at one place
		before = r.total
		if err = r.skim(r.closing); err == nil {
			break
		}
	}
	if r.closing.Err() != nil {
		r.err, err = context.Cause(r.closing), nil // nothing is new
	}
	return err
}

// locate learns the allocation, which there was once.
func (r *reader) locate(ctx context.Context, patience time.Duration) error {
	ctx, free := context.WithTimeoutCause(ctx, patience, errNoAnswer)
	defer free()
	all, err := r.Engine.allocations(ctx, r.job)
	if err != nil {
		return err
	}
	if r.alloc = first(all).ID; r.alloc == "" {
		return fmt.Errorf("the engine has no allocation of the job %s: %w", r.job, fs.ErrNotExist)
	}
	return nil
}

// skim reads on to the present end, and delivers nothing: only so it can be known where
// to go on when the stream is cut.
func (r *reader) skim(ctx context.Context) error {
	s, err := dial(ctx, r.Engine, logQuery{allocation: r.alloc, stream: r.Stream, offset: r.total})
	if isStatus(err, http.StatusNotFound) {
		return nil // the program was not started yet
	}
	if err != nil {
		return err
	}
	defer s.close()
	for {
		f, err := s.next()
		switch {
		case err == io.EOF:
			return nil
		case err != nil:
			return fmt.Errorf("%w: the log was cut: %w", ErrUnreachable, err)
		case len(f.Data) == 0:
			continue
		}
		if r.file, err = f.file(); err != nil {
			return err
		}
		r.begun = true
		r.total += int64(len(f.Data))
	}
}

// connect opens the log where it was left, or waits until there is one.
func (r *reader) connect(ctx context.Context) error {
	from := logQuery{allocation: r.alloc, stream: r.Stream, offset: r.total, follow: r.end == nil}
	if r.skip > 0 {
		if r.begun {
			return fmt.Errorf("%w: the log was cut, and only its end was being read", ErrLogGap)
		}
		from.offset, from.fromEnd = r.skip, true
	}
	s, err := dial(ctx, r.Engine, from)
	switch {
	case isStatus(err, http.StatusNotFound) && r.end != nil:
		r.err = r.end // it was never started
		return nil
	case isStatus(err, http.StatusNotFound):
		return r.await(ctx)
	case err != nil && errors.As(err, new(*StatusError)) && !isStatus(err, http.StatusBadRequest, http.StatusForbidden):
		return fmt.Errorf("%w: %w", ErrUnreachable, err)
	case err != nil:
		return err
	}
	r.stream, r.busy = s, time.Time{}
	return nil
}

// await waits for news of an allocation that has no log yet.
func (r *reader) await(ctx context.Context) error {
	if err := r.lookUp(); err != nil || r.end != nil {
		return err
	}
	if !r.sub.wait(ctx) {
		return context.Cause(ctx)
	}
	return r.lookUp()
}

// lookUp finds out whether the pod has ended; then what it wrote has an end too.
func (r *reader) lookUp() error {
	all, complete, err := r.sub.look()
	i := slices.IndexFunc(all, func(a allocation) bool { return a.ID == r.alloc })
	switch {
	case i >= 0 && all[i].terminal():
		r.hangUp()
		r.end = io.EOF
	case err != nil:
		return err
	case i < 0 && complete:
		return &StatusError{Status: http.StatusNotFound, Words: "the engine does not know the allocation"}
	}
	return nil
}

// take takes what a frame brings. The node divides the log into files and throws the
// oldest away. It names the file that a frame is from, which shows whether any were missed.
func (r *reader) take(f frame) error {
	file, err := f.file()
	if err != nil {
		return err
	}
	resumed := !r.stream.begun && r.begun
	missed := !r.begun && file != 0 ||
		r.begun && file != r.file && file != r.file+1 ||
		resumed && file >= logFiles // and so nobody knows from where the node counts
	if missed && r.skip == 0 {
		return fmt.Errorf("%w: %d bytes were, and then came %s", ErrLogGap, r.total, f.File)
	}
	r.begun, r.stream.begun = true, true
	r.delay.Reset()
	r.file, r.rest = file, f.Data
	r.total += int64(len(f.Data))
	return nil
}

func (r *reader) hangUp() {
	if r.stream != nil {
		r.stream.close()
		r.stream = nil
	}
}

// A logQuery says what is wanted of a log.
type logQuery struct {
	allocation, stream string
	offset             int64 // from the first byte, or back from the last
	fromEnd            bool
	follow             bool
}

// A stream is one answer of the node.
type stream struct {
	body   io.ReadCloser
	frames *json.Decoder
	begun  bool        // it has brought something
	guard  *time.Timer // ends it when it is silent for too long
	free   context.CancelFunc
}

// A frame is a piece of it: of a file, or a heartbeat.
type frame struct {
	Data      []byte
	File      string // alloc/logs/pod.stderr.0
	FileEvent string
}

func (f frame) heartbeat() bool { return f.File == "" && f.FileEvent == "" }

// file returns the number with which the name of the file ends.
func (f frame) file() (int, error) {
	n, err := strconv.Atoi(f.File[strings.LastIndexByte(f.File, '.')+1:])
	if err != nil {
		return 0, fmt.Errorf("the engine sends the file %q, and such names should end with a number", f.File)
	}
	return n, nil
}

var errSilent = fmt.Errorf("%w: nothing has come for %v", ErrUnreachable, silence)

func dial(ctx context.Context, e Engine, q logQuery) (*stream, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	s := &stream{free: func() { cancel(nil) }}
	s.guard = time.AfterFunc(silence, func() { cancel(errSilent) })
	resp, err := e.logs(ctx, q)
	if err != nil {
		s.guard.Stop()
		s.free()
		return nil, err
	}
	s.body, s.frames = resp.Body, json.NewDecoder(resp.Body)
	return s, nil
}

// next returns the next frame, or io.EOF where the node has ended the stream
// between two.
func (s *stream) next() (f frame, err error) {
	s.guard.Reset(silence)
	err = s.frames.Decode(&f)
	return f, err
}

func (s *stream) close() {
	s.guard.Stop()
	s.free()
	s.body.Close()
}
