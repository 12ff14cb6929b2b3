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

// tell reports a change; lost says that it is the last one that the notifier
// knows of.
func (s *subscriber) tell(lost bool) {
	if lost {
		s.gone.Store(true)
	}
	s.changed()
}
