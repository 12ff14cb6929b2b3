package logsource

import (
	"os"
	"sync"
	"time"
)

// watchers is the program's one source of file events. An inotify instance is
// scarce (128 for all programs of a user, by default) and slow to close
// (several milliseconds, in which the kernel waits for a grace period), so all
// logs of all launches share it.
var watchers hub

// linger is how long the watcher outlives its last watch: a program that
// launches one pod after the other keeps it, an idle one gives it back.
const linger = 250 * time.Millisecond

// A hub is a watcher that exists while anybody watches. Its zero value is
// ready to use.
//
// Goroutines: those of the notifier, which end when shut closes it.
//
// Locks: mu is held while calling the notifier, and never taken by what that
// calls.
type hub struct {
	mu      sync.Mutex
	watcher *notifier   // nil while nobody watches
	count   int         // of watches
	unused  time.Time   // since when count is 0
	idle    *time.Timer // pending call of shut; nil if none is
}

// A watch tells of every change of one file, until it is stopped. If it is lost,
// its owner stops it and adds it again.
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
	if h.count > 0 {
		return
	}
	h.unused = time.Now()
	if h.idle == nil && h.watcher != nil {
		// It goes on when somebody watches again, and looks when it strikes: a
		// program that launches one pod after the other would set it each time.
		h.idle = time.AfterFunc(linger, h.shut)
	}
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
	if h.count > 0 || h.watcher == nil {
		return nil
	}
	if left := linger - time.Since(h.unused); left > 0 {
		h.idle = time.AfterFunc(left, h.shut)
		return nil
	}
	watcher := h.watcher
	h.watcher = nil
	return watcher
}
