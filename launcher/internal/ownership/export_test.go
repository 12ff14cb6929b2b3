package ownership

import "time"

// A busy machine takes its time to read through /proc, and what is found counts here.
func init() { while = time.Minute }
