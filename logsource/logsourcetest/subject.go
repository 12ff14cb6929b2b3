package logsourcetest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/google/uuid"

	"github.com/podlaunch/podlaunch/logsource"
	"github.com/podlaunch/podlaunch/runtimedir/conformance"
)

// bufferSize is that of readers where it does not matter.
const bufferSize = 32 << 10

// stalled is how long a rule waits for bytes that were written. Where they have not come
// once, the other rules wait for conformance.Soon.
const stalled = conformance.Patience / 2

// blamed is who panics or calls FailNow.
const blamed = "the Source"

// A subject is the Source that a rule is about, and what the rule has opened.
type subject struct {
	source logsource.Source
	dir    string // the runtime directories are below it
	calls  *conformance.Calls
	stalls *atomic.Bool // bytes have not come, in this rule or one before

	// Every context of the rule comes from this one, which ends with it.
	ctx    context.Context
	cancel context.CancelFunc

	mu   sync.Mutex
	free []func() // closes what is still open
}

func newSubject(source logsource.Source, dir string, stalls *atomic.Bool) *subject {
	s := &subject{source: source, dir: dir, calls: new(conformance.Calls), stalls: stalls}
	s.ctx, s.cancel = context.WithCancel(context.Background())
	return s
}

// close closes everything that the rule has left open.
func (s *subject) close() error {
	s.cancel()
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, f := range slices.Backward(s.free) {
		f()
	}
	return nil
}

// later has close call f.
func (s *subject) later(f func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.free = append(s.free, f)
}

// launch returns a new launch of the pod called name, whose runtime directory
// is called dir.
func (s *subject) launch(dir, name string) (logsource.Launch, error) {
	if err := s.ctx.Err(); err != nil {
		return logsource.Launch{}, err // the rule is given up
	}
	dir = filepath.Join(s.dir, dir)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return logsource.Launch{}, err
	}
	return logsource.Launch{Name: name, Dir: dir, ID: uuid.New()}, nil
}

// open opens the log of a new launch of the pod called name, in a directory of
// that name.
func (s *subject) open(name string) (*opened, error) {
	launch, err := s.launch(name, name)
	if err != nil {
		return nil, err
	}
	return s.openLaunch(s.ctx, launch)
}

// withLog is a rule about the log of a pod.
func withLog(rule func(o *opened) error) func(s *subject) error {
	return conformance.With(func(s *subject) (*opened, error) { return s.open("web") }, rule)
}

func (s *subject) openLaunch(ctx context.Context, launch logsource.Launch) (*opened, error) {
	end := s.calls.Begin("Open")
	log, err := s.source.Open(ctx, launch)
	end()
	if err != nil {
		return nil, fmt.Errorf("Open: %w", err)
	}
	if log == nil || log.Follow == nil {
		return nil, errors.New("Open returned no error, and a Log that is nil or has no Follow")
	}
	o := &opened{s: s, launch: launch, log: log}
	s.later(func() { o.close() })
	if log.Sink != nil {
		o.out = log.Sink
	} else if o.out, err = s.deliver(launch); err != nil {
		return nil, err
	}
	s.later(func() { o.end() })
	return o, nil
}

// deliver returns where to write for want of a Sink.
func (s *subject) deliver(launch logsource.Launch) (io.WriteCloser, error) {
	d, ok := s.source.(Deliverer)
	if !ok {
		return nil, fmt.Errorf("Log.Sink is nil, and this kit cannot know how else to write: let the Source under test, a %T, be a logsourcetest.Deliverer", s.source)
	}
	defer s.calls.Begin("Deliver")()
	w, err := d.Deliver(launch)
	if err != nil {
		return nil, fmt.Errorf("Deliver: %w", err)
	}
	return w, nil
}

// holds makes sure that a new reader gets want, and nothing else.
func (o *opened) holds(want string) error {
	f, stop, err := o.follower()
	if err != nil {
		return err
	}
	if err := f.expect(want); err != nil {
		return err
	}
	stop()
	if rest, _ := f.rest(bufferSize); rest != "" {
		return fmt.Errorf("read %.64q after all that was written", rest)
	}
	return f.close()
}

// An opened is the log of one launch, in the hands of a rule.
type opened struct {
	s         *subject
	launch    logsource.Launch
	log       *logsource.Log
	out       io.WriteCloser // where the process writes
	written   atomic.Int64
	closeOnce sync.Once
	endOnce   sync.Once

	rootErr error // of Launch.Root, after Open
}

// write writes as the process.
func (o *opened) write(text string) error {
	defer o.s.calls.Begin("a write to the log")()
	o.written.Add(int64(len(text))) // first: somebody may read at once
	n, err := io.WriteString(o.out, text)
	if err == nil && n != len(text) {
		err = io.ErrShortWrite
	}
	if err != nil {
		return fmt.Errorf("writing to the log: %w", err)
	}
	return nil
}

// end closes the process's end of the log.
func (o *opened) end() (err error) {
	defer o.s.calls.Begin("closing the sink")()
	o.endOnce.Do(func() { err = o.out.Close() })
	return err
}

// close calls the Log's Close.
func (o *opened) close() (err error) {
	defer o.s.calls.Begin("Log.Close")()
	o.closeOnce.Do(func() {
		if o.log.Close != nil {
			err = o.log.Close()
		}
	})
	return err
}

// follow returns a reader that the end of ctx ends.
func (o *opened) follow(ctx context.Context) (*follower, error) {
	defer o.s.calls.Begin("Follow")()
	r, err := o.log.Follow(ctx)
	if err != nil {
		return nil, fmt.Errorf("Follow: %w", err)
	}
	if r == nil {
		return nil, errors.New("Follow returned neither a reader nor an error")
	}
	f := &follower{o: o, r: r}
	o.s.later(func() { f.close() })
	return f, nil
}

// follower returns a reader whose context ends with the rule, or by the
// function, which gives it [conformance.ErrStopped] as its cause.
func (o *opened) follower() (*follower, func(), error) {
	ctx, cancel := context.WithCancelCause(o.s.ctx)
	stop := func() { cancel(conformance.ErrStopped) }
	f, err := o.follow(ctx)
	return f, stop, err
}

// A follower is one reader of a log.
type follower struct {
	o    *opened
	r    io.ReadCloser
	once sync.Once
}

func (f *follower) close() (err error) {
	defer f.o.s.calls.Begin("the reader's Close")()
	f.once.Do(func() { err = f.r.Close() })
	return err
}

// read calls Read until it returns something.
func (f *follower) read(p []byte) (n int, err error) {
	defer f.o.s.calls.Begin("Read")()
	for range 100 { // as package bufio
		if n, err = f.r.Read(p); n != 0 || err != nil {
			return n, err
		}
	}
	return 0, io.ErrNoProgress
}

// expect reads exactly as much as want has, and makes sure that it is that.
func (f *follower) expect(want string) error {
	var (
		got = make([]byte, len(want))
		n   int
		err error
	)
	for n < len(got) && err == nil {
		var m int
		m, err = f.readSoon(got[n:])
		n += m
	}
	if got := string(got[:n]); got != want {
		return fmt.Errorf("%s; the error is %v", differ(want, got), err)
	}
	return nil
}

// readSoon calls Read, which has something to return.
func (f *follower) readSoon(p []byte) (int, error) {
	type result struct {
		n   int
		err error
	}
	done := make(chan result, 1)
	go func() {
		n, err := f.read(p)
		done <- result{n, err}
	}()
	patience := stalled
	if f.o.s.stalls.Load() {
		patience = conformance.Soon
	}
	guard := time.NewTimer(patience)
	defer guard.Stop()
	select {
	case r := <-done:
		return r.n, r.err
	case <-guard.C:
		f.o.s.stalls.Store(true)
		return 0, fmt.Errorf("none, but nothing more has come for %v", patience)
	}
}

// waitsFor makes sure that Read blocks until text is written, and then returns
// it.
func (f *follower) waitsFor(text string) error {
	read := f.reading()
	select {
	case r := <-read:
		return fmt.Errorf("Read returned %q, %v although there may be more", r.text, r.err)
	case <-time.After(conformance.Moment):
	}
	if err := f.o.write(text); err != nil {
		return err
	}
	r := <-read
	if !strings.HasPrefix(text, r.text) || r.text == "" || r.err != nil {
		return fmt.Errorf("after %q was written Read returned %q, %v", text, r.text, r.err)
	}
	return f.expect(text[len(r.text):])
}

// rest reads what is left, in steps of size bytes, and returns the error that
// ends it.
func (f *follower) rest(size int) (string, error) {
	var got []byte
	for buf := make([]byte, size); ; {
		n, err := f.read(buf)
		got = append(got, buf[:n]...)
		if err != nil {
			return string(got), err
		}
		if int64(len(got)) > f.o.written.Load() {
			return string(got), errors.New("none, and it has delivered more than was written")
		}
	}
}

// A result is what a call of Read returned.
type result struct {
	text string
	err  error
}

// reading calls Read once, in a goroutine.
func (f *follower) reading() <-chan result {
	done, began := make(chan result, 1), make(chan struct{})
	go func() {
		defer f.o.s.calls.Begin("Read")()
		buf := make([]byte, 1<<10)
		close(began)
		n, err := f.r.Read(buf)
		done <- result{string(buf[:n]), err}
	}()
	<-began // so that no time passes before
	return done
}

// differ says where what was read is not what was written.
func differ(want, got string) string {
	at := 0
	for at < len(want) && at < len(got) && want[at] == got[at] {
		at++
	}
	return fmt.Sprintf("read %d bytes, want %d; from byte %d on it is %.32q, want %.32q", len(got), len(want), at, got[at:], want[at:])
}
