package leaktest

import "time"

func SetPatience(d time.Duration) { patience = d }
