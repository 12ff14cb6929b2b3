package logsource

import (
	"os"
	"sync"
	"time"
)

// watchers is the program's source of file events. An inotify instance is
// scarce (128 for all programs of a user, by default) and slow to close
// (several milliseconds, in which the kernel waits for a grace period), so the
// logs of all launches share it. Up to two have a solo instead.
var watchers hub

// linger is how long the watcher outlives its last watch: a program that
// launches one pod after the other keeps it, an idle one gives it back.
const linger = 250 * time.Millisecond

// A lingering keeps something unused for a while. The caller of its methods holds the
// owner's mutex.
type lingering struct {
	unused time.Time   // since when
	idle   *time.Timer // pending call of shut, which sets it to nil; nil if none is
}

// begin arms a timer that calls shut when what is unused now has lingered. When it is used
// again the timer runs on, and shut looks then. Otherwise a program that launches one pod
// after the other would set the timer each time.
func (l *lingering) begin(shut func()) {
	l.unused = time.Now()
	if l.idle == nil {
		l.idle = time.AfterFunc(linger, shut)
	}
}

// isOver reports whether it has lingered. If not, isOver arms the timer for the rest.
func (l *lingering) isOver(shut func()) bool {
	left := linger - time.Since(l.unused)
	if left > 0 {
		l.idle = time.AfterFunc(left, shut)
	}
	return left <= 0
}

// A hub is a watcher that exists while anybody watches. Its zero value is
// ready to use.
//
// Goroutines: those of the notifier, which end when shut closes it.
//
// Locks: the hub holds mu while it calls the notifier. What the notifier calls never
// takes mu.
type hub struct {
	mu      sync.Mutex
	watcher *notifier // nil while nobody watches
	count   int       // of watches
	lingering
}

// A watch reports every change of one file, until it is stopped. If it is lost, its
// owner stops it and adds it again.
type watch struct {
	hub *hub
	subscriber
}

// add calls changed, from any goroutine, after each change of file, until the
// watch is stopped. It returns nil if no watcher can be had: then there is
// only polling. changed must not block and must not call add or stop.
func (h *hub) add(file *os.File, changed func()) *watch {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.watcher == nil {
		watcher, err := newNotifier()
		if err != nil {
			return nil
		}
		h.watcher = watcher
	}
	for _, path := range watchPaths(file) {
		w := &watch{h, subscriber{path: path, changed: changed}}
		if err := h.watcher.add(&w.subscriber); err == nil {
			h.count++
			return w
		}
	}
	h.shutLater()
	return nil
}

// stop ends the watch. A call of changed that has begun, or is about to, may
// still come; it wakes nobody who minds.
func (w *watch) stop() {
	h := w.hub
	h.mu.Lock()
	defer h.mu.Unlock()
	h.watcher.remove(&w.subscriber)
	h.count--
	h.shutLater()
}

// shutLater closes the watcher after a while, if nobody watches by then. The
// caller holds mu.
func (h *hub) shutLater() {
	if h.count > 0 || h.watcher == nil {
		return
	}
	h.begin(h.shut)
}

// shut closes the watcher if it has not been used for as long as it lingers.
func (h *hub) shut() {
	if watcher := h.takeIdle(); watcher != nil {
		watcher.close() // without mu, for it takes long
	}
}

// takeIdle takes away the watcher, if nobody has watched for long enough.
func (h *hub) takeIdle() *notifier {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.idle = nil
	if h.count > 0 || h.watcher == nil || !h.isOver(h.shut) {
		return nil
	}
	watcher := h.watcher
	h.watcher = nil
	return watcher
}
