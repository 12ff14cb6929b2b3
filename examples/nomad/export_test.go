package nomad

import "time"

// CloseIdleConnections closes those of the clients that Engines share.
func CloseIdleConnections() {
	shared.Lock()
	defer shared.Unlock()
	for _, c := range shared.clients {
		c.CloseIdleConnections()
	}
}

// SetLease sets how long a claim is good that has no job, and returns how to set it back.
func SetLease(d time.Duration) func() {
	before := lease
	lease = d
	return func() { lease = before }
}
