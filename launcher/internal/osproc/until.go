package osproc

import (
	"context"
	"time"
)

// until calls done until it returns true, and reports whether it did before ctx
// was done. It is for what the system has no event for. Between two calls it waits
// 100 µs, and twice as long each time, but never more than 20 ms.
func until(ctx context.Context, done func() bool) bool {
	for delay := 100 * time.Microsecond; !done(); delay = min(2*delay, 20*time.Millisecond) {
		timer := time.NewTimer(delay)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return false
		}
	}
	return true
}
