//go:build !linux && !windows

package logsource

import (
	"os"
	"slices"
	"sync"

	"github.com/fsnotify/fsnotify"
)

// watchPaths returns the names under which file may be watched, best first.
func watchPaths(file *os.File) []string { return []string{file.Name()} }

// A notifier reports changes of files. It takes two goroutines, fsnotify's and
// dispatch; close ends both.
type notifier struct {
	watcher *fsnotify.Watcher

	mu     sync.Mutex // never held while calling the watcher, or telling a subscriber
	byPath map[string]*watched
}

// A watched is one file.
type watched struct {
	subscribers []*subscriber // never changed in place
}

// newNotifier returns a notifier that tells its subscribers, from one goroutine,
// after each change of their file. A subscriber is lost when its file is renamed,
// for fsnotify drops that.
func newNotifier() (*notifier, error) {
	watcher, err := fsnotify.NewWatcher()
	if err != nil {
		return nil, err
	}
	n := &notifier{watcher: watcher, byPath: make(map[string]*watched)}
	go n.dispatch()
	return n, nil
}

// add watches the file at s.path for s. Calls of add and remove take turns.
func (n *notifier) add(s *subscriber) error {
	n.mu.Lock()
	on := n.byPath[s.path]
	if on == nil {
		on = &watched{}
		n.byPath[s.path] = on
	}
	on.subscribers = append(slices.Clone(on.subscribers), s) // before the first event can come
	n.mu.Unlock()
	if err := n.watcher.Add(s.path); err != nil {
		n.drop(s)
		return err
	}
	return nil
}

// remove tells s no more. A call that has begun, or is about to, may still come.
func (n *notifier) remove(s *subscriber) {
	if n.drop(s) {
		// The only error is that the watch has gone by itself, with its file.
		_ = n.watcher.Remove(s.path)
	}
}

// drop forgets s, and reports whether its file has no subscriber any more.
func (n *notifier) drop(s *subscriber) (last bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	on := n.byPath[s.path]
	on.subscribers = slices.DeleteFunc(slices.Clone(on.subscribers), func(other *subscriber) bool { return other == s })
	if len(on.subscribers) > 0 {
		return false
	}
	delete(n.byPath, s.path)
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
			for _, s := range n.of(event.Name) {
				s.tell(lost)
			}
		case _, ok := <-errors:
			if !ok {
				errors = nil
				continue
			}
			for _, s := range n.all() {
				s.tell(false)
			}
		}
	}
}

// of returns the subscribers of one file.
func (n *notifier) of(path string) []*subscriber {
	n.mu.Lock()
	defer n.mu.Unlock()
	if on := n.byPath[path]; on != nil {
		return on.subscribers
	}
	return nil
}

// all returns every subscriber.
func (n *notifier) all() (subscribers []*subscriber) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, on := range n.byPath {
		subscribers = append(subscribers, on.subscribers...)
	}
	return subscribers
}
