//go:build !linux

package logsource

import (
	"os"

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
	changed func(path string, lost bool)
}

// newNotifier returns a notifier that calls changed, from one goroutine, after
// each change of a file. lost says that the file is not watched any more
// (fsnotify drops one that is renamed). An empty path says that any file may
// have changed.
func newNotifier(changed func(path string, lost bool)) (*notifier, error) {
	watcher, err := fsnotify.NewWatcher()
	if err != nil {
		return nil, err
	}
	n := &notifier{watcher: watcher, changed: changed}
	go n.dispatch()
	return n, nil
}

func (n *notifier) add(path string) error { return n.watcher.Add(path) }

func (n *notifier) remove(path string) {
	// The only error is that the watch has gone by itself, with its file.
	_ = n.watcher.Remove(path)
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
			n.changed(event.Name, event.Has(fsnotify.Rename) || event.Has(fsnotify.Remove))
		case _, ok := <-errors:
			if !ok {
				errors = nil
				continue
			}
			n.changed("", false)
		}
	}
}
