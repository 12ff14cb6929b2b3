package logsource

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"sync"
	"time"
)

const (
	// safetyPoll is how often a follower looks at a file of which it is told
	// every change, in case the filesystem does not tell.
	safetyPoll = time.Second

	// A follower without a watcher looks again after firstPoll, then ever more
	// rarely up to lastPoll, until there is something new.
	firstPoll = time.Millisecond
	lastPoll  = 50 * time.Millisecond
)

// A followed is a file that is being written, and those who read it. All of
// them read through one descriptor, each at its own offset, so that a name
// which no longer leads to the file does not matter, and a reader costs no
// descriptor.
type followed struct {
	file *os.File
	poll time.Duration // File.Poll

	mu     sync.Mutex
	owners int    // the Log, and each reader; the last one closes file
	closed bool   // the Log's share is given up, and with it follow
	watch  *watch // nil: nobody has read yet, or there is nothing to be had but polling

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
	r, err := f.newReader(ctx)
	if err != nil {
		return nil, err
	}
	return r, nil
}

func (f *followed) newReader(ctx context.Context) (*reader, error) {
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
	first := len(f.readers) == 1
	f.wakeMu.Unlock()
	if first && f.watch == nil && f.poll <= 0 {
		f.watch = watchers.add(f.file, f.changed)
	}
	return r, nil
}

// release gives up one share in the file: the Log's, with r nil, or r's. The watch
// outlasts the readers, for to end it takes two wakes: of the watcher, to which
// the kernel tells that, and of whoever polls, because of the timer that closes an
// idle watcher. A launch should not have to wait for that between the ready line
// and the dial.
func (f *followed) release(r *reader) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.closed = f.closed || r == nil
	f.wakeMu.Lock()
	delete(f.readers, r)
	f.wakeMu.Unlock()
	if f.owners--; f.owners > 0 {
		return nil
	}
	if f.watch != nil {
		f.watch.stop()
		f.watch = nil
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

// A reader is one follower. It has no goroutine: whoever reads does the
// waiting.
type reader struct {
	from   *followed
	file   *reading
	ctx    context.Context
	wake   chan struct{} // capacity 1: a change since the last look
	closed chan struct{}
	once   sync.Once // of Close

	offset int64
	ending bool  // ctx is done
	end    int64 // what the file held then, if ending
}

var _ Skipper = (*reader)(nil)

// SkipToLast implements [Skipper].
func (r *reader) SkipToLast(n int64) error {
	size, err := r.size()
	r.offset = max(0, size-n)
	return err
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

// noticeEnd looks once whether ctx is done, and then fixes where the file ends.
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
		err = r.from.release(r)
	})
	return err
}
