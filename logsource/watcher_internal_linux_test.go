package logsource

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// ample ends what hangs. What a test waits for comes long before.
const ample = time.Minute

// newHub returns a hub that is shut when the test ends. Everything must have
// been stopped by then.
func newHub(t *testing.T) *hub {
	t.Helper()
	h := new(hub)
	t.Cleanup(func() {
		h.shutNow()
		h.mu.Lock()
		defer h.mu.Unlock()
		if h.count != 0 {
			t.Errorf("%d watches left", h.count)
		}
		if h.watcher != nil {
			t.Error("the watcher is still there")
		}
	})
	return h
}

// shutNow is shut when the watcher has lingered.
func (h *hub) shutNow() {
	h.mu.Lock()
	h.unused = time.Now().Add(-linger)
	h.mu.Unlock()
	h.shut()
}

// newFileTwice returns a file that is open twice until the test ends.
func newFileTwice(t *testing.T) (file, again *os.File) {
	t.Helper()
	file = newFile(t)
	again, err := os.Open(file.Name())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { again.Close() })
	return file, again
}

// newFile returns a file that is closed when the test ends.
func newFile(t *testing.T) *os.File {
	t.Helper()
	f, err := os.Create(filepath.Join(t.TempDir(), "log"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	return f
}

func write(t *testing.T, f *os.File, text string) {
	t.Helper()
	if _, err := f.WriteString(text); err != nil {
		t.Fatal(err)
	}
}

// A bell is rung at each change, and remembers one.
type bell chan struct{}

func (b bell) ring() {
	select {
	case b <- struct{}{}:
	default:
	}
}

// mustRing waits until it has been told of a change.
func (b bell) mustRing(t *testing.T, what string) {
	t.Helper()
	select {
	case <-b:
	case <-time.After(ample):
		t.Fatal("no event: " + what)
	}
}

func mustAdd(t *testing.T, h *hub, f *os.File, changed func()) *watch {
	t.Helper()
	w := h.add(f, changed)
	if w == nil {
		t.Fatal("no watch could be had")
	}
	return w
}

// Row 7: a watch tells of each kind of change, and of none once it is stopped.
func TestWatch(t *testing.T) {
	h := newHub(t)
	file, other := newFile(t), newFile(t)
	b, o := make(bell, 1), make(bell, 1)
	w, barrier := mustAdd(t, h, file, b.ring), mustAdd(t, h, other, o.ring)
	settle := func() { // until every event so far is through
		write(t, other, "x")
		o.mustRing(t, "write to the other")
		select {
		case <-b:
		default:
		}
	}
	for _, c := range []struct {
		name string
		do   func() error
	}{
		{"write", func() error { return second(file.WriteString("x")) }},
		{"truncation", func() error { return file.Truncate(0) }},
		{"write after a rename", func() error {
			return errors.Join(os.Rename(file.Name(), file.Name()+".1"), second(file.WriteString("x")))
		}},
		{"write after deletion", func() error {
			return errors.Join(os.Remove(file.Name()+".1"), second(file.WriteString("x")))
		}},
	} {
		if err := c.do(); err != nil {
			t.Fatal(err)
		}
		b.mustRing(t, c.name)
		settle()
	}
	if w.lost() {
		t.Error("the watch counts as lost, and its file was not renamed")
	}
	w.stop()
	settle()
	write(t, file, "x")
	write(t, other, "x")
	o.mustRing(t, "write to the other")
	select {
	case <-b:
		t.Error("an event came after stop")
	default:
	}
	barrier.stop()
}

func second(_ int, err error) error { return err }

// C27: while a pod pours, the hub gathers its changes and reports them together. It
// always reports the last one, and afterwards each one again.
func TestGathering(t *testing.T) {
	h := newHub(t)
	file := newFile(t)
	var told atomic.Int64
	b := make(bell, 1)
	w := mustAdd(t, h, file, func() { told.Add(1); b.ring() })
	const writes = 20_000
	began := time.Now()
	for range writes {
		write(t, file, "x")
	}
	// The bell rings until the reader has seen the end.
	for size := int64(0); size < writes; {
		b.mustRing(t, "the end of what was poured")
		fi, err := file.Stat()
		if err != nil {
			t.Fatal(err)
		}
		size = fi.Size()
	}
	// Each pause lets some pass; so many pauses go into the time that this took.
	pauses := int64(time.Since(began)/gather) + 1
	if n := told.Load(); n > (burst+1)*pauses {
		t.Errorf("%d writes in a row were told %d times, and there was time for %d pauses", writes, n, pauses)
	}
	for range 3 * burst {
		write(t, file, "x")
		b.mustRing(t, "a write that is waited for")
	}
	w.stop()
}

// Several subscribers may watch a file at once, under different names: for Linux that
// is one watch. Each hears of a change. When one ends, the others still do, also while
// the file's changes are gathered.
func TestOneFileWatchedTwice(t *testing.T) {
	h := newHub(t)
	file, again := newFileTwice(t)
	for _, writes := range []int{1, 2 * burst} {
		a, b := make(bell, 1), make(bell, 1)
		first := mustAdd(t, h, file, a.ring)
		for range writes {
			write(t, file, "x")
		}
		second := mustAdd(t, h, again, b.ring)
		write(t, file, "x")
		a.mustRing(t, "write, of the first")
		b.mustRing(t, "write, of the second")
		first.stop()
		for range 3 {
			write(t, file, "x")
			b.mustRing(t, "write after the first has gone")
		}
		second.stop()
	}
}

// A subscriber may begin to watch a file while the file's changes are gathered. It is
// still one watch of the kernel's, and both subscribers hear of a change.
func TestWatchedWhileGathering(t *testing.T) {
	h := newHub(t)
	file, again := newFileTwice(t)
	a, b := make(bell, 1), make(bell, 1)
	first := mustAdd(t, h, file, a.ring)
	n := h.watcher
	n.mu.Lock()
	gathering := n.of[&first.subscriber]
	n.unwatch(gathering) // as take does
	n.mu.Unlock()
	second := mustAdd(t, h, again, b.ring)
	n.resume(gathering)
	a.mustRing(t, "the end of the gathering")
	if n.of[&first.subscriber] != n.of[&second.subscriber] {
		t.Error("the kernel watches it twice")
	}
	write(t, file, "x")
	a.mustRing(t, "write, of the first")
	b.mustRing(t, "write, of the second")
	first.stop()
	second.stop()
}

// Rule 5: any number of watches share one watcher, which is kept for a while
// after the last of them, and closed if nobody comes by then. (The bubble is
// never idle while the watcher waits for the kernel, so that its timer does not
// strike by itself.)
func TestHubLifetime(t *testing.T) {
	watchers.shutNow() // of an earlier test, which may still linger
	withoutSolos(t)
	for instances(t) > 0 {
		time.Sleep(time.Millisecond) // it is being closed already
	}
	synctest.Test(t, testHubLifetime)
}

func testHubLifetime(t *testing.T) {
	h := newHub(t)
	files := []*os.File{newFile(t), newFile(t), newFile(t)}
	before := instances(t)
	var watches []*watch
	for _, f := range files {
		watches = append(watches, mustAdd(t, h, f, func() {}))
	}
	if n := instances(t) - before; n != 1 {
		t.Errorf("%d watchers, want 1", n)
	}
	first := h.watcher
	watches[0].stop()
	watches[1].stop()
	h.shutNow() // too early
	if h.watcher != first || h.idle != nil {
		t.Fatal("the watcher is closed, or about to be, while it is used")
	}
	watches[2].stop()
	if h.watcher != first || h.idle == nil {
		t.Fatal("the watcher must linger, and end")
	}
	b := make(bell, 1)
	w := mustAdd(t, h, files[0], b.ring)
	if h.watcher != first {
		t.Fatal("a lingering watcher must be taken again")
	}
	write(t, files[0], "x")
	b.mustRing(t, "write")
	h.shut() // as the timer does that was set before
	if h.watcher != first || h.idle != nil {
		t.Fatal("the watcher is closed, or about to be, while it is used")
	}
	w.stop()
	h.shut()
	if h.watcher != first || h.idle == nil {
		t.Fatal("the watcher lingers from the last stop on")
	}
	h.shutNow()
	if n := instances(t) - before; n != 0 || h.watcher != nil {
		t.Errorf("%d watchers after shut, want none", n)
	}
	h.shutNow()
	w = mustAdd(t, h, files[0], b.ring) // a new one
	write(t, files[0], "x")
	b.mustRing(t, "write")
	w.stop()
}

// instances counts the inotify instances of this process.
func instances(t *testing.T) (n int) {
	t.Helper()
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if to, _ := os.Readlink("/proc/self/fd/" + e.Name()); to == "anon_inode:inotify" {
			n++
		}
	}
	return n
}

// B27: what cannot be watched is not, and nothing of the attempt stays. (The
// system refuses in the same way when a user's watches are used up.)
func TestHubRefused(t *testing.T) {
	h := newHub(t)
	name := filepath.Join(t.TempDir(), "log")
	file := nameOnly(t, name)
	if err := os.Remove(name); err != nil {
		t.Fatal(err)
	}
	if w := h.add(file, func() {}); w != nil {
		t.Error("a file that is not there is watched")
		w.stop()
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.count != 0 || h.watcher != nil && h.idle == nil {
		t.Errorf("count is %d, and the watcher will not be closed", h.count)
	}
}

// nameOnly returns a file that can be watched by its name alone, as it is
// without /proc.
func nameOnly(t *testing.T, name string) *os.File {
	t.Helper()
	f, err := os.Create(name)
	if err != nil {
		t.Fatal(err)
	}
	f.Close() // and its descriptor is no valid number
	return f
}

// B30: without /proc a log is watched by its name. Two launches of one pod
// share that: the second must not take the first one's events away, nor end
// the watch when it goes.
func TestHubOneName(t *testing.T) {
	h := newHub(t)
	name := filepath.Join(t.TempDir(), "log")
	b, second := make(bell, 1), make(bell, 1)
	w := mustAdd(t, h, nameOnly(t, name), b.ring)
	file, err := os.OpenFile(name, os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	write(t, file, "x")
	b.mustRing(t, "write")
	w2 := h.add(nameOnly(t, name), second.ring)
	write(t, file, "x")
	b.mustRing(t, "write while there are two")
	if w2 != nil {
		w2.stop()
	}
	write(t, file, "x")
	b.mustRing(t, "write after the other has gone")
	w.stop()
}

// B27: when the kernel's queue of events is full and it drops some, every subscriber
// hears that its file may have changed, also if it did not.
func TestHubOverflow(t *testing.T) {
	data, err := os.ReadFile("/proc/sys/fs/inotify/max_queued_events")
	if err != nil {
		t.Fatal(err)
	}
	limit, err := strconv.Atoi(strings.TrimSpace(string(data)))
	if err != nil {
		t.Fatal(err)
	}
	h := newHub(t)
	a, b, quiet := newFile(t), newFile(t), newFile(t)
	blocked, release := make(bell, 1), make(chan struct{})
	told := make(bell, 1)
	watches := []*watch{
		mustAdd(t, h, a, func() { blocked.ring(); <-release }),
		mustAdd(t, h, b, func() {}),
		mustAdd(t, h, quiet, told.ring),
	}
	write(t, a, "x")
	blocked.mustRing(t, "write")
	// Equal events in a row are one, so the two files take turns. The notifier
	// may have taken 256 of them into its own hands, and the runtime none.
	for range (limit + 2*256) / 2 {
		write(t, b, "x")
		write(t, a, "x")
	}
	close(release)
	told.mustRing(t, "overflow")
	for _, w := range watches {
		w.stop()
	}
}

// The hub is used by all launches of a program at once, while its timer may
// strike at any time. That this ends shows that no lock waits for another.
func TestHubAtOnce(t *testing.T) {
	h := newHub(t)
	var all sync.WaitGroup
	for range 8 {
		file := newFile(t)
		all.Go(func() {
			from := file.Name()
			for i := range 50 {
				b := make(bell, 1)
				w := h.add(file, b.ring)
				if w == nil {
					t.Error("no watch could be had")
					return
				}
				file.WriteString("x")
				<-b
				if i%3 == 0 {
					to := fmt.Sprint(file.Name(), i)
					os.Rename(from, to)
					from = to
				}
				w.stop()
				if i%5 == 0 {
					h.shut()
				}
			}
		})
	}
	done := make(bell, 1)
	go func() { all.Wait(); done.ring() }()
	done.mustRing(t, "it hangs")
}
