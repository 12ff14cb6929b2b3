package logsource

import "sync/atomic"

// A subscriber gets the changes of one file from a notifier.
type subscriber struct {
	path    string // under which the notifier watches the file
	changed func()
	gone    atomic.Bool
}

// lost reports whether the notifier has dropped the file of its own accord.
func (s *subscriber) lost() bool { return s.gone.Load() }
