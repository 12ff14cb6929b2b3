package leaktest

import "time"

func SetPatience(d time.Duration) { patience = d }

// Reset has each test be alone again.
func Reset() { all = shared{} }
