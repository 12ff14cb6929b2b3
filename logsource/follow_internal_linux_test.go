package logsource

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"os"
	"testing"
	"testing/synctest"
	"time"
)

// withoutSolos has all readers be woken by the watcher that they share.
func withoutSolos(t *testing.T) {
	solos.shutNow()
	most := solos.most
	solos.most = 0
	t.Cleanup(func() { solos.most = most })
}

// shutNow is shut when all have lingered.
func (p *soloPool) shutNow() {
	p.mu.Lock()
	p.unused = time.Now().Add(-linger)
	p.mu.Unlock()
	p.shut()
}

// newLog returns a file that is being followed, and what writes to it.
func newLog(t *testing.T, poll time.Duration) (*followed, *os.File) {
	t.Helper()
	w := newFile(t)
	r, err := os.Open(w.Name())
	if err != nil {
		t.Fatal(err)
	}
	f := newFollowed(r, poll)
	t.Cleanup(func() {
		if err := f.release(nil); err != nil {
			t.Error(err)
		}
		if _, err := r.Stat(); !errors.Is(err, fs.ErrClosed) {
			t.Error("a share in the file is left")
		}
	})
	return f, w
}

func newReader(t *testing.T, f *followed) *reader {
	t.Helper()
	rc, err := f.follow(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { rc.Close() })
	return rc.(*reader)
}

// Row 7: it is an event that wakes a reader, and each of several. Nothing here
// looks at the file, so that no poll can take the credit.
func TestEventWakesReaders(t *testing.T) {
	withoutSolos(t)
	f, w := newLog(t, 0)
	a, b := newReader(t, f), newReader(t, f)
	write(t, w, "x")
	bell(a.wake).mustRing(t, "the first reader")
	bell(b.wake).mustRing(t, "the second reader")
}

// C24: the watch is of the file, not of its name, and survives any number of
// renames.
func TestRenameKeepsEvents(t *testing.T) {
	withoutSolos(t)
	f, w := newLog(t, 0)
	a, b := newReader(t, f), newReader(t, f)
	from, watch := w.Name(), f.watch
	for i := range 3 {
		to := fmt.Sprint(w.Name(), i)
		if err := os.Rename(from, to); err != nil {
			t.Fatal(err)
		}
		from = to
		write(t, w, "x")
		bell(a.wake).mustRing(t, "write")
		bell(b.wake).mustRing(t, "write")
		if f.watch != watch || watch.lost() {
			t.Fatal("the watch was lost")
		}
	}
}

// C24: the next reader that waits replaces a lost watch. What was written in between
// came without an event, so every reader has to look once more, even if it has looked
// before.
func TestLostWatchIsReplaced(t *testing.T) {
	withoutSolos(t)
	f, w := newLog(t, 0)
	a, b := newReader(t, f), newReader(t, f)
	dropped := f.watch
	dropped.tell(true)
	bell(a.wake).mustRing(t, "loss")
	bell(b.wake).mustRing(t, "loss")
	write(t, w, "perhaps without an event")
	if err := a.wait(0); err != nil {
		t.Fatal(err)
	}
	if f.watch == dropped || f.watch == nil || f.watch.lost() {
		t.Fatal("no new watch was made")
	}
	bell(b.wake).mustRing(t, "a second look")
	write(t, w, "x")
	bell(a.wake).mustRing(t, "write")
	bell(b.wake).mustRing(t, "write")
}

// Rule 5: the first reader starts the watch, and it ends with the file, which is
// closed by the last who has it. With Poll there is none.
func TestWatchLastsAsLongAsTheFile(t *testing.T) {
	withoutSolos(t)
	r, err := os.Open(newFile(t).Name())
	if err != nil {
		t.Fatal(err)
	}
	f := newFollowed(r, 0)
	if f.watch != nil {
		t.Error("a watch, and nobody has read")
	}
	a := newReader(t, f)
	watch := f.watch
	if watch == nil {
		t.Fatal("a reader, no watch")
	}
	a.Close()
	b := newReader(t, f)
	if f.watch != watch {
		t.Error("another watch for another reader")
	}
	if err := f.release(nil); err != nil {
		t.Error(err)
	}
	if f.watch == nil {
		t.Error("one reader left, no watch")
	}
	b.Close()
	if f.watch != nil {
		t.Error("a watch, and the file is closed")
	}
	polled, _ := newLog(t, time.Hour)
	newReader(t, polled)
	if polled.watch != nil {
		t.Error("a watch in spite of Poll")
	}
}

// Rule 4: how long a reader waits at most before it looks again.
func TestInterval(t *testing.T) {
	watched := &watch{hub: new(hub)}
	for _, c := range []struct {
		name   string
		poll   time.Duration
		watch  *watch
		looked int
		want   time.Duration
	}{
		{"Poll", time.Minute, nil, 0, time.Minute},
		{"Poll, later", time.Minute, nil, 1000, time.Minute},
		{"events", 0, watched, 0, time.Second},
		{"events, later", 0, watched, 1000, time.Second},
		{"no watcher", 0, nil, 0, time.Millisecond},
		{"no watcher, again", 0, nil, 1, 2 * time.Millisecond},
		{"no watcher, last step", 0, nil, 5, 32 * time.Millisecond},
		{"no watcher, longest", 0, nil, 6, 50 * time.Millisecond},
		{"no watcher, for ever", 0, nil, math.MaxInt, 50 * time.Millisecond},
		{"Poll is negative", -1, nil, 6, 50 * time.Millisecond},
	} {
		f := &followed{poll: c.poll, watch: c.watch}
		if got := f.interval(c.looked); got != c.want {
			t.Errorf("%s: %v, want %v", c.name, got, c.want)
		}
	}
}

// Rule 4: a reader finds what no event told it, by polling at the given rate,
// by polling ever more rarely, or by the slow poll behind events that the
// filesystem does not send; and the end of its context, and Close, without
// waiting for the next look.
func TestPolling(t *testing.T) {
	for _, c := range []struct {
		name  string
		poll  time.Duration
		watch *watch        // it never reports a change
		idle  time.Duration // before something is written
		late  time.Duration // how much later it may be found
	}{
		{"Poll", time.Minute, nil, time.Hour + time.Second, time.Minute},
		{"no watcher, at once", 0, nil, time.Millisecond / 2, time.Millisecond},
		{"no watcher, later", 0, nil, time.Minute, 50 * time.Millisecond},
		{"events that do not come", 0, &watch{hub: new(hub)}, time.Minute, time.Second},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f, w := newLog(t, c.poll)
				ctx, cancel := context.WithCancelCause(t.Context())
				r := bubbleReader(f, ctx)
				f.watch = c.watch
				for _, text := range []string{"first", "second"} {
					mustFind(t, r, c.idle, c.late, text, nil, func() { write(t, w, text) })
				}
				cause := errors.New("cause")
				mustFind(t, r, c.idle, 0, "", cause, func() { cancel(cause) })
				r.ctx, r.ending = t.Context(), false
				f.watch = nil // it cannot be stopped
				mustFind(t, r, c.idle, 0, "", fs.ErrClosed, func() { r.Close() })
			})
		})
	}
}

// mustFind has r wait for as long as idle, does something, and makes sure that
// Read then returns want and wantErr, not later than late.
func mustFind(t *testing.T, r *reader, idle, late time.Duration, want string, wantErr error, do func()) {
	t.Helper()
	var (
		n   int
		err error
		at  time.Time
	)
	buf := make([]byte, 100)
	go func() {
		n, err = r.Read(buf)
		at = time.Now()
	}()
	time.Sleep(idle)
	synctest.Wait()
	if !at.IsZero() {
		t.Fatalf("Read did not wait: %q, %v", buf[:n], err)
	}
	start := time.Now()
	do()
	time.Sleep(late)
	synctest.Wait()
	if at.IsZero() || at.Sub(start) > late {
		t.Fatalf("nothing was found within %v", late)
	}
	if string(buf[:n]) != want || err != wantErr {
		t.Fatalf("Read returned %q, %v, want %q, %v", buf[:n], err, want, wantErr)
	}
}

// bubbleReader returns a reader for which no watcher is asked: a notifier's
// goroutine waits for the kernel, and time would stand still in its bubble.
func bubbleReader(f *followed, ctx context.Context) *reader {
	file, err := newReading(f.file)
	if err != nil {
		panic(err)
	}
	r := &reader{from: f, file: file, ctx: ctx, wake: make(chan struct{}, 1), closed: make(chan struct{})}
	f.owners++
	f.readers[r] = struct{}{}
	return r
}
