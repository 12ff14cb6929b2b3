//go:build !windows

package logsource

// tell reports a change; lost means that the notifier will report no more.
func (s *subscriber) tell(lost bool) {
	if lost {
		s.gone.Store(true)
	}
	s.changed()
}
