package unixproc

// A LockHolder is a process that has a file open that is locked with flock(2), and
// shares the lock.
type LockHolder struct {
	Identity
	Forked bool // it was forked, and has not come to its exec
}
