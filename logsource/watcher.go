package logsource

import (
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/fsnotify/fsnotify"
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
// Goroutines: fsnotify's own reader, and dispatch, which ends when fsnotify
// closes its channels, which it does in Close. shut owns that call.
//
// Locks: mu is held while calling fsnotify, byPath's never is, and dispatch
// takes only that one. So fsnotify may block on its channels while it holds
// its own lock, and dispatch always drains them.
type hub struct {
	mu      sync.Mutex
	watcher *fsnotify.Watcher // nil while nobody watches
	count   int               // of watches
	idle    *time.Timer       // pending call of shut, while count is 0

	byPath sync.Map // string → *watch
}

// A watch tells of every change of one file, until it is stopped.
type watch struct {
	hub     *hub
	path    string
	changed func()
	gone    atomic.Bool
}

// add calls changed, from one goroutine, after each change of file, until the
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
		watcher, err := fsnotify.NewWatcher()
		if err != nil {
			return nil
		}
		h.watcher = watcher
		go h.dispatch(watcher)
	}
	for _, path := range watchPaths(file) {
		w := &watch{hub: h, path: path, changed: changed}
		// Before the first event of it can come. A name that another log has
		// already (there is no /proc then) stays with that one.
		if _, taken := h.byPath.LoadOrStore(path, w); taken {
			continue
		}
		if err := h.watcher.Add(path); err == nil {
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
	// The only error is that the watch has gone by itself, with its file.
	_ = h.watcher.Remove(w.path)
	h.count--
	h.shutLater()
}

// lost reports whether the watcher has dropped the watch of its own accord
// (fsnotify does when the file is renamed). Whoever asks stops it and adds it
// again.
func (w *watch) lost() bool { return w.gone.Load() }

// shutLater closes the watcher after a while, if nobody watches by then. The
// caller holds mu.
func (h *hub) shutLater() {
	if h.count == 0 && h.watcher != nil && h.idle == nil {
		h.idle = time.AfterFunc(linger, h.shut)
	}
}

func (h *hub) shut() {
	h.mu.Lock()
	defer h.mu.Unlock()
	// A timer that fired while add held the lock is out of date.
	if h.count == 0 && h.watcher != nil && h.idle != nil {
		h.watcher.Close()
		h.watcher, h.idle = nil, nil
	}
}

// dispatch wakes those whose file changed. After an error (events were lost
// because the kernel's queue was full) anything may have changed.
func (h *hub) dispatch(watcher *fsnotify.Watcher) {
	events, errors := watcher.Events, watcher.Errors
	for events != nil || errors != nil {
		select {
		case event, ok := <-events:
			if !ok {
				events = nil
				continue
			}
			if w, ok := h.byPath.Load(event.Name); ok {
				w := w.(*watch)
				if event.Has(fsnotify.Rename) || event.Has(fsnotify.Remove) {
					w.gone.Store(true)
				}
				w.changed()
			}
		case _, ok := <-errors:
			if !ok {
				errors = nil
				continue
			}
			h.byPath.Range(func(_, w any) bool {
				w.(*watch).changed()
				return true
			})
		}
	}
}
