package logsource

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"os"
	"sync"
	"sync/atomic"
	"time"
)

const (
	// safetyPoll is how often a follower looks at a file that has a watch, in case
	// the filesystem reports no events.
	safetyPoll = time.Second

	// soloTime is how long a reader keeps its solo: as long as most launches take.
	soloTime = 2 * time.Second

	// A follower without a watcher looks again after firstPoll, then ever more
	// rarely up to lastPoll, until there is something new.
	firstPoll = time.Millisecond
	lastPoll  = 50 * time.Millisecond
)

// A followed is a file that is being written, and its readers. All of them read
// through one descriptor, each at its own offset. Therefore the name may lead to
// another file, or to none, and a reader costs no descriptor.
type followed struct {
	file *os.File
	poll time.Duration // File.Poll

	freer *freer // nil: nothing is freed. Its free is called with mu

	mu     sync.Mutex
	owners int    // the Log, and each reader; the last one closes file
	closed bool   // the Log's share is given up, and with it follow
	watch  *watch // nil: nobody has read yet, or there is nothing to be had but polling

	// solo is the watch of one reader, alone, which waits on it by itself. It is nil if
	// there was none to be had, and of is nil while it is nobody's.
	solo *solo
	of   *reader

	// The watcher's goroutine takes wakeMu, and so nobody may hold it while
	// calling the watcher. Where both are held, mu was taken first.
	wakeMu  sync.Mutex
	readers map[*reader]struct{}
}

func newFollowed(file *os.File, poll time.Duration) *followed {
	return &followed{file: file, poll: poll, owners: 1, readers: make(map[*reader]struct{})}
}

// follow is the Log's Follow.
func (f *followed) follow(ctx context.Context) (io.ReadCloser, error) {
	r, err := f.newReader(ctx, true)
	if err != nil {
		return nil, err
	}
	return r, nil
}

// newReader returns a reader. If alone it may have a solo, and is woken by Read alone.
func (f *followed) newReader(ctx context.Context, alone bool) (*reader, error) {
	file, err := newReading(f.file)
	if err != nil {
		return nil, err
	}
	r := &reader{from: f, file: file, ctx: ctx, wake: make(chan struct{}, 1), closed: make(chan struct{})}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.closed {
		return nil, fmt.Errorf("follow the log %q: %w", f.file.Name(), fs.ErrClosed)
	}
	f.owners++
	f.wakeMu.Lock()
	f.readers[r] = struct{}{}
	f.wakeMu.Unlock()
	if f.poll > 0 || f.watch != nil {
		return r, nil
	}
	if alone && f.solo == nil && len(f.readers) == 1 {
		f.solo = solos.take(f.file)
	}
	if alone && f.solo != nil && f.of == nil {
		f.of, r.solo = r, f.solo
	} else {
		f.share()
	}
	return r, nil
}

// share makes the common watcher wake the readers. It asks the watcher once, for the
// first of them, also if the watcher fails. The caller holds mu.
func (f *followed) share() {
	sharing := len(f.readers)
	if f.of != nil {
		sharing--
	}
	if sharing == 1 {
		f.watch = watchers.add(f.file, f.changed)
	}
}

// dropSolo takes the solo from r, which has one: from now on the common watcher wakes r.
// r has to look once more.
func (f *followed) dropSolo(r *reader) {
	f.mu.Lock()
	defer f.mu.Unlock()
	solos.give(f.solo)
	f.solo, f.of, r.solo = nil, nil, nil
	if f.watch == nil {
		f.share()
	}
}

// soloOf returns the solo that r waits on, or nil.
func (f *followed) soloOf(r *reader) *solo {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.of != r {
		return nil
	}
	return f.solo
}

// release gives up one share in the file: the Log's, with r nil, or r's. The watch
// outlasts the readers, because removing a watch wakes both the watcher goroutine and
// the poller (it arms the timer that closes an idle watcher). A launch should not have
// to wait for that between the ready line and the dial.
func (f *followed) release(r *reader) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.closed = f.closed || r == nil
	f.wakeMu.Lock()
	delete(f.readers, r)
	f.wakeMu.Unlock()
	if r != nil && f.of == r {
		f.solo.join() // or it might take a change from the next reader
		f.of = nil
	}
	if f.owners--; f.owners > 0 {
		return nil
	}
	if f.solo != nil {
		solos.give(f.solo)
		f.solo = nil
	}
	if f.watch != nil {
		f.watch.stop()
		f.watch = nil
	}
	if f.freer != nil {
		f.freer.file.Close()
	}
	return f.file.Close()
}

// changed wakes every reader. The watcher's goroutine calls it.
func (f *followed) changed() {
	f.wakeMu.Lock()
	defer f.wakeMu.Unlock()
	for r := range f.readers {
		select {
		case r.wake <- struct{}{}:
		default: // it has been told already
		}
	}
}

// free frees what is older than File.Keep says, except what one of the readers has not
// read yet.
func (f *followed) free() error {
	fi, err := f.file.Stat()
	if err != nil {
		return err
	}
	read := int64(math.MaxInt64)
	f.wakeMu.Lock()
	for r := range f.readers {
		read = min(read, r.read.Load())
	}
	f.wakeMu.Unlock()
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.freer.free(fi.Size(), read)
}

// interval returns how long a reader waits at most before it looks again;
// looked says how often it has found nothing in a row.
func (f *followed) interval(looked int) time.Duration {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.watch != nil && f.watch.lost() {
		f.watch.stop()
		f.watch = watchers.add(f.file, f.changed)
		// What was written while there was no watch came without an event, and
		// the readers may have looked before it.
		f.changed()
	}
	switch {
	case f.poll > 0:
		return f.poll
	case f.watch != nil:
		return safetyPoll
	}
	return min(firstPoll<<min(looked, 16), lastPoll)
}

// A reader is one follower. It has no goroutine: the goroutine that calls Read waits.
type reader struct {
	from   *followed
	file   *reading
	ctx    context.Context
	solo   *solo         // what it waits on; nil: wake
	waits  time.Time     // since when, on a solo
	wake   chan struct{} // capacity 1: a change since the last look
	closed chan struct{}
	once   sync.Once // of Close

	read  atomic.Int64 // what lies before it is not needed; good if there is a freer
	tried int64        // where freeing was tried last
	lost  atomic.Int64 // bytes that were gone

	offset int64
	ending bool  // ctx is done
	end    int64 // what the file held then, if ending
}

var (
	_ Skipper   = (*reader)(nil)
	_ io.Seeker = (*reader)(nil)
	_ Lossy     = (*reader)(nil)
)

// SkipToLast implements [Skipper].
func (r *reader) SkipToLast(n int64) error {
	size, err := r.size()
	r.offset = max(0, size-n)
	return err
}

// Seek implements [io.Seeker]. It fails for a place that the file does not have now.
func (r *reader) Seek(offset int64, whence int) (int64, error) {
	if offset == 0 && whence == io.SeekCurrent {
		return r.offset, nil
	}
	size, err := r.size()
	if err != nil {
		return 0, err
	}
	switch whence {
	case io.SeekCurrent:
		offset += r.offset
	case io.SeekEnd:
		offset += size
	}
	if offset < 0 || offset > size {
		return 0, &fs.PathError{Op: "seek", Path: r.from.file.Name(), Err: fmt.Errorf("%w: there is no byte %d, it has %d", fs.ErrInvalid, offset, size)}
	}
	r.offset = offset
	return offset, nil
}

// Read implements the contract of Log.Follow.
func (r *reader) Read(p []byte) (int, error) {
	for looked := 0; ; looked++ {
		select {
		case <-r.closed:
			return 0, fs.ErrClosed
		default:
		}
		if err := r.noticeEnd(); err != nil {
			return 0, err
		}
		n, err := r.readOnce(p)
		if n > 0 || len(p) == 0 {
			r.noteRead()
			return n, nil
		}
		if err != nil {
			return 0, err
		}
		if r.ending {
			return 0, context.Cause(r.ctx)
		}
		if err := r.wait(looked); err != nil {
			return 0, err
		}
	}
}

// noticeEnd looks once whether ctx is done. If it is, noticeEnd fixes where the file ends.
func (r *reader) noticeEnd() error {
	if r.ending || r.ctx.Err() == nil {
		return nil
	}
	size, err := r.size()
	if err != nil {
		return err
	}
	r.ending, r.end = true, size
	return nil
}

// readOnce reads what is there now; nothing, and no error, at the end.
func (r *reader) readOnce(p []byte) (int, error) {
	for {
		if r.ending {
			p = p[:max(0, min(int64(len(p)), r.end-r.offset))]
		}
		n, err := r.file.at(p, r.offset)
		if n > 0 {
			if n, err = r.beforeHole(p[:n]); n == 0 && err == nil {
				continue
			}
		}
		r.offset += int64(n)
		if n > 0 || !errors.Is(err, io.EOF) {
			return n, err
		}
		// A file that is shorter than what was read of it was truncated. The
		// writer appends, so its next byte stands at the new end, not behind a
		// hole.
		before := r.offset
		if _, err := r.size(); err != nil || r.offset == before {
			return 0, err
		}
	}
}

// beforeHole returns how much of p, which was read at r.offset, comes before a hole. If
// p begins with the hole, r goes to the hole's end.
func (r *reader) beforeHole(p []byte) (int, error) {
	data, next, err := holeIn(r.from.file, p, r.offset)
	if err != nil || data > 0 {
		return int(data), err
	}
	if r.ending {
		next = min(next, r.end)
	}
	if next > r.offset {
		r.lost.Add(next - r.offset)
		r.offset = next
	}
	return 0, nil
}

// noteRead notes how far r has read, and frees what no reader needs any more. It ignores
// an error, for the bytes that were read are good; Tend reports it.
func (r *reader) noteRead() {
	f := r.from
	if f.freer == nil {
		return
	}
	r.read.Store(r.offset)
	if r.offset-r.tried >= f.freer.due() || r.offset < r.tried {
		r.tried = r.offset
		_ = f.free()
	}
}

// Lost implements [Lossy].
func (r *reader) Lost() int64 { return r.lost.Load() }

// size returns the file's size, and goes back to the start if the file was
// truncated.
func (r *reader) size() (int64, error) {
	fi, err := r.from.file.Stat()
	if err != nil {
		return 0, err
	}
	if fi.Size() < r.offset {
		// What the file held when ctx was done is gone, and what it holds now
		// came later.
		r.offset, r.end = 0, 0
	}
	return fi.Size(), nil
}

// wait returns when the file may have changed, or ctx is done.
func (r *reader) wait(looked int) error {
	if r.solo != nil {
		if r.waits.IsZero() {
			r.waits = time.Now()
		}
		if r.solo.wait(r.ctx, r.closed, safetyPoll) || time.Since(r.waits) > soloTime {
			r.from.dropSolo(r)
		}
		return nil
	}
	timer := time.NewTimer(r.from.interval(looked))
	defer timer.Stop()
	select {
	case <-r.wake:
	case <-timer.C:
	case <-r.ctx.Done():
	case <-r.closed:
		return fs.ErrClosed
	}
	return nil
}

// Close implements io.Closer. It may be called while a Read waits, which then
// returns [fs.ErrClosed].
func (r *reader) Close() error {
	err := fs.ErrClosed
	r.once.Do(func() {
		close(r.closed)
		if solo := r.from.soloOf(r); solo != nil {
			solo.interrupt()
		}
		err = r.from.release(r)
	})
	return err
}
