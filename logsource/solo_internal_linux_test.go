package logsource

import (
	"bytes"
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"strings"
	"testing"
	"time"
)

// newPool returns a pool of solos in place of the program's.
func newPool(t *testing.T, most int) {
	t.Helper()
	withoutSolos(t)
	solos.most = most
	t.Cleanup(func() {
		solos.shutNow()
		if solos.made != 0 || len(solos.free) != 0 {
			t.Errorf("%d instances are left, %d of them free", solos.made, len(solos.free))
		}
	})
}

// The first reader waits by itself, and the next one as all others do. Each change
// wakes both; a poll finds nothing.
func TestSoloAndShared(t *testing.T) {
	newPool(t, 2)
	f, w := newLog(t, 0)
	a, b := newReader(t, f), newReader(t, f)
	if a.solo == nil || b.solo != nil || f.watch == nil {
		t.Fatalf("the first reader's solo is %v, the second one's %v; the watch is %v", a.solo, b.solo, f.watch)
	}
	for range 3 {
		write(t, w, "x")
		if a.solo.wait(t.Context(), a.closed, ample) {
			t.Fatal("the watch is lost")
		}
		bell(b.wake).mustRing(t, "write")
	}
}

// When all are taken, there is the watcher that all share. A solo is free again once its
// file is closed, and is taken by the next one, to which old events mean nothing.
func TestSoloIsFreeAgain(t *testing.T) {
	newPool(t, 1)
	first, w := newLog(t, 0)
	a := newReader(t, first)
	second, _ := newLog(t, 0)
	if b := newReader(t, second); b.solo != nil || second.watch == nil {
		t.Fatalf("the second file has the solo %v, and the watch %v", b.solo, second.watch)
	}
	s := a.solo
	write(t, w, "an event that nobody reads")
	a.Close()
	if b := newReader(t, first); b.solo != s {
		t.Errorf("the next reader of the file has %p, not %p", b.solo, s)
	} else {
		b.Close()
	}
	solos.give(first.solo) // as when the file is closed
	first.solo = nil
	third, w3 := newLog(t, 0)
	c := newReader(t, third)
	if c.solo != s {
		t.Fatalf("the third file has %p, not %p", c.solo, s)
	}
	done := make(chan bool)
	go func() { done <- c.solo.wait(t.Context(), c.closed, ample) }()
	write(t, w3, "x")
	if <-done {
		t.Error("the watch is lost")
	}
}

// A Read that waits on a solo ends with its context, whose cause it returns, and with
// Close. It returns what was written.
func TestSoloRead(t *testing.T) {
	newPool(t, 1)
	cause := errors.New("cause")
	for _, c := range []struct {
		name string
		do   func(w *os.File, r io.Closer, cancel context.CancelCauseFunc)
		want string
		err  error
	}{
		{"write", func(w *os.File, _ io.Closer, _ context.CancelCauseFunc) { w.WriteString("said") }, "said", nil},
		{"cancel", func(_ *os.File, _ io.Closer, cancel context.CancelCauseFunc) { cancel(cause) }, "", cause},
		{"close", func(_ *os.File, r io.Closer, _ context.CancelCauseFunc) { r.Close() }, "", fs.ErrClosed},
	} {
		for range 20 {
			f, w := newLog(t, 0)
			ctx, cancel := context.WithCancelCause(t.Context())
			r, err := f.newReader(ctx, true)
			if err != nil {
				t.Fatal(err)
			}
			if r.solo == nil {
				t.Fatal("there is no solo")
			}
			type result struct {
				said string
				err  error
			}
			done := make(chan result)
			go func() {
				buf := make([]byte, 10)
				n, err := r.Read(buf)
				done <- result{string(buf[:n]), err}
			}()
			c.do(w, r, cancel)
			select {
			case got := <-done:
				if got.said != c.want || got.err != c.err {
					t.Errorf("%s: %q, %v, want %q, %v", c.name, got.said, got.err, c.want, c.err)
				}
			case <-time.After(ample):
				t.Fatalf("%s: Read does not return", c.name)
			}
			r.Close()
			cancel(nil)
			if err := f.release(nil); err != nil {
				t.Error(err)
			}
			f.owners, f.file = 1, mustOpen(t, w.Name()) // for newLog's end
		}
	}
}

// mustOpen opens a file.
func mustOpen(t *testing.T, name string) *os.File {
	t.Helper()
	f, err := os.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// A file that pours does not wake its reader for each write, and all of it arrives. On a busy
// machine the reader gets more turns: the fewest reads of three times count.
func TestSoloPours(t *testing.T) {
	newPool(t, 1)
	f, w := newLog(t, 0)
	r := newReader(t, f)
	line := strings.Repeat("x", 99) + "\n"
	const lines = 20000
	buf := make([]byte, 1<<20)
	fewest := lines
	for try := 0; try < 3 && fewest > lines/4; try++ {
		go func() {
			for range lines {
				w.WriteString(line)
			}
		}()
		var got bytes.Buffer
		reads := 0
		for got.Len() < lines*len(line) {
			n, err := r.Read(buf)
			if err != nil {
				t.Fatal(err)
			}
			got.Write(buf[:n])
			reads++
		}
		if got.String() != strings.Repeat(line, lines) {
			t.Error("what has arrived is not what was written")
		}
		t.Logf("%d lines in %d reads", lines, reads)
		fewest = min(fewest, reads)
	}
	if fewest > lines/4 {
		t.Errorf("%d reads for %d lines", fewest, lines)
	}
}

// A file that pours is not watched for a moment, for each of the pod's writes would take
// longer. What is written after that wakes the reader. (The kernel gives a watch that was not
// removed its old number.)
func TestSoloRests(t *testing.T) {
	newPool(t, 1)
	f, w := newLog(t, 0)
	r := newReader(t, f)
	s := r.solo
	before := s.wd
	for began := time.Now(); s.wd == before; {
		if time.Since(began) > ample {
			t.Fatal("a file that pours is watched all the time")
		}
		s.told, s.last, s.pours = burst+1, time.Now(), true
		if s.wait(t.Context(), r.closed, time.Millisecond) {
			t.Fatal("the watch is lost")
		}
	}
	if s.pours {
		t.Error("it pours although nothing was written")
	}
	done := make(chan bool)
	go func() { done <- s.wait(t.Context(), r.closed, ample) }()
	write(t, w, "x")
	select {
	case lost := <-done:
		if lost || s.last.IsZero() {
			t.Errorf("lost: %v, the last change: %v", lost, s.last)
		}
	case <-time.After(ample / 2):
		t.Error("a write after the rest wakes nobody")
	}
}

// Where the kernel watches the file no more, its reader is woken as others are.
func TestSoloIsLost(t *testing.T) {
	newPool(t, 1)
	f, w := newLog(t, 0)
	r := newReader(t, f)
	removeWatch(r.solo.file, r.solo.wd) // as when the filesystem is unmounted
	for r.solo != nil {
		if err := r.wait(0); err != nil {
			t.Fatal(err)
		}
	}
	if f.solo != nil || f.of != nil || f.watch == nil {
		t.Fatalf("solo %v of %v, watch %v", f.solo, f.of, f.watch)
	}
	write(t, w, "x")
	bell(r.wake).mustRing(t, "write")
}

// Who reads for long leaves its solo to others, and is woken all the same.
func TestSoloIsLeft(t *testing.T) {
	newPool(t, 1)
	f, w := newLog(t, 0)
	r := newReader(t, f)
	r.waits = time.Now().Add(-2 * soloTime)
	write(t, w, "x")
	if err := r.wait(0); err != nil {
		t.Fatal(err)
	}
	if r.solo != nil || f.solo != nil || len(solos.free) != 1 || f.watch == nil {
		t.Fatalf("solo %v, %d free, watch %v", r.solo, len(solos.free), f.watch)
	}
	write(t, w, "x")
	bell(r.wake).mustRing(t, "write")
}

// Instances linger, and are closed if nobody comes by then.
func TestSolosLinger(t *testing.T) {
	newPool(t, 2)
	before := instances(t)
	f, _ := newLog(t, 0)
	r := newReader(t, f)
	if n := instances(t) - before; n != 1 {
		t.Errorf("%d instances, want 1", n)
	}
	r.Close()
	s := f.solo
	solos.give(s)
	f.solo = nil
	solos.shut() // too early
	if n := instances(t) - before; n != 1 || solos.idle == nil {
		t.Errorf("%d instances linger, want 1", n)
	}
	solos.shutNow()
	if n := instances(t) - before; n != 0 {
		t.Errorf("%d instances are left", n)
	}
}
