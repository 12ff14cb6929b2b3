package conformance

import "time"

// SetPatience sets how long Main waits for what is about to end.
func SetPatience(d time.Duration) { patience = d }
