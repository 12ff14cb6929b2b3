package logsource

import (
	"os"
	"sync"
	"sync/atomic"
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
// Locks: mu is held while calling the notifier, byPath's never is, and tell,
// which the notifier calls, takes only that one.
type hub struct {
	mu      sync.Mutex
	watcher *notifier   // nil while nobody watches
	count   int         // of watches
	idle    *time.Timer // pending call of shut, while count is 0

	byPath sync.Map // string → *watch
}

// A watch tells of every change of one file, until it is stopped.
type watch struct {
	hub     *hub
	path    string
	changed func()
	gone    atomic.Bool
}

// add calls changed, from any goroutine, after each change of file, until the
// watch is stopped. It returns nil if no watcher can be had: then there is
// only polling. changed must not block and must not call add or stop.
func (h *hub) add(file *os.File, changed func()) *watch {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.idle != nil {
		h.idle.Stop()
		h.idle = nil
	}
	if h.watcher == nil {
		watcher, err := newNotifier(h.tell)
		if err != nil {
			return nil
		}
		h.watcher = watcher
	}
	for _, path := range watchPaths(file) {
		w := &watch{hub: h, path: path, changed: changed}
		// Before the first event of it can come. A name that another log has
		// already (there is no /proc then) stays with that one.
		if _, taken := h.byPath.LoadOrStore(path, w); taken {
			continue
		}
		if err := h.watcher.add(path); err == nil {
			h.count++
			return w
		}
		h.byPath.Delete(path)
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
	h.byPath.CompareAndDelete(w.path, w)
	h.watcher.remove(w.path)
	h.count--
	h.shutLater()
}

// lost reports whether the watcher has dropped the watch of its own accord.
// Whoever asks stops it and adds it again.
func (w *watch) lost() bool { return w.gone.Load() }

// shutLater closes the watcher after a while, if nobody watches by then. The
// caller holds mu.
func (h *hub) shutLater() {
	if h.count == 0 && h.watcher != nil && h.idle == nil {
		h.idle = time.AfterFunc(linger, h.shut)
	}
}

func (h *hub) shut() {
	if watcher := h.takeIdle(); watcher != nil {
		watcher.close() // without mu, for it takes long
	}
}

// takeIdle takes away the watcher, if nobody watches.
func (h *hub) takeIdle() *notifier {
	h.mu.Lock()
	defer h.mu.Unlock()
	// A timer that fired while add held the lock is out of date.
	if h.count > 0 || h.idle == nil {
		return nil
	}
	watcher := h.watcher
	h.watcher, h.idle = nil, nil
	return watcher
}

// tell wakes those who watch the file at path, or everybody if that is empty.
func (h *hub) tell(path string, lost bool) {
	if path == "" {
		h.byPath.Range(func(_, w any) bool {
			w.(*watch).changed()
			return true
		})
		return
	}
	if w, ok := h.byPath.Load(path); ok {
		w := w.(*watch)
		if lost {
			w.gone.Store(true)
		}
		w.changed()
	}
}
