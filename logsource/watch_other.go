//go:build !linux

package logsource

import (
	"os"
	"slices"
	"sync"

	"github.com/fsnotify/fsnotify"
)

// nonblock: see watch_linux.go; elsewhere the check after opening has to do.
const nonblock = 0

// watchPaths returns the names under which file may be watched, best first.
func watchPaths(file *os.File) []string { return []string{file.Name()} }

// A notifier tells of changes of files. It takes fsnotify's goroutine and
// dispatch, both of which close ends.
type notifier struct {
	watcher *fsnotify.Watcher

	mu     sync.Mutex // never held while calling the watcher, or telling a watch
	byPath map[string]*watched
}

// A watched is one file.
type watched struct {
	watches []*watch // never changed in place
}

// newNotifier returns a notifier that tells its watches, from one goroutine,
// after each change of their file. A watch is lost when its file is renamed, for
// fsnotify drops it.
func newNotifier() (*notifier, error) {
	watcher, err := fsnotify.NewWatcher()
	if err != nil {
		return nil, err
	}
	n := &notifier{watcher: watcher, byPath: make(map[string]*watched)}
	go n.dispatch()
	return n, nil
}

// add watches the file at w.path for w. Calls of add and remove take turns.
func (n *notifier) add(w *watch) error {
	n.mu.Lock()
	on := n.byPath[w.path]
	if on == nil {
		on = &watched{}
		n.byPath[w.path] = on
	}
	w.on = on
	on.watches = append(slices.Clone(on.watches), w) // before the first event can come
	n.mu.Unlock()
	if err := n.watcher.Add(w.path); err != nil {
		n.drop(w)
		return err
	}
	return nil
}

// remove tells w no more. A call that has begun, or is about to, may still come.
func (n *notifier) remove(w *watch) {
	if n.drop(w) {
		// The only error is that the watch has gone by itself, with its file.
		_ = n.watcher.Remove(w.path)
	}
}

// drop forgets w, and reports whether its file is watched by nobody any more.
func (n *notifier) drop(w *watch) (last bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	on := w.on
	on.watches = slices.DeleteFunc(slices.Clone(on.watches), func(other *watch) bool { return other == w })
	if len(on.watches) > 0 {
		return false
	}
	delete(n.byPath, w.path)
	return true
}

func (n *notifier) close() { n.watcher.Close() }

// dispatch hands the events on. After an error (events were lost) anything may
// have changed.
func (n *notifier) dispatch() {
	events, errors := n.watcher.Events, n.watcher.Errors
	for events != nil || errors != nil {
		select {
		case event, ok := <-events:
			if !ok {
				events = nil
				continue
			}
			lost := event.Has(fsnotify.Rename) || event.Has(fsnotify.Remove)
			for _, w := range n.of(event.Name) {
				w.tell(lost)
			}
		case _, ok := <-errors:
			if !ok {
				errors = nil
				continue
			}
			for _, w := range n.all() {
				w.tell(false)
			}
		}
	}
}

// of returns the watches of one file.
func (n *notifier) of(path string) []*watch {
	n.mu.Lock()
	defer n.mu.Unlock()
	if on := n.byPath[path]; on != nil {
		return on.watches
	}
	return nil
}

// all returns every watch.
func (n *notifier) all() (watches []*watch) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, on := range n.byPath {
		watches = append(watches, on.watches...)
	}
	return watches
}
