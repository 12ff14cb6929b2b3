package program

import "time"

// A stamp is what changes whenever a file does.
type stamp struct {
	dev, ino     uint64
	size         int64
	mtime, ctime int64 // nanoseconds
}

// settled reports whether the file has not changed for longer than a filesystem's
// clock takes to go on. Until then another change may leave the stamp as it is.
func (s stamp) settled() bool {
	return time.Since(time.Unix(0, s.ctime)) > 2*time.Second
}
