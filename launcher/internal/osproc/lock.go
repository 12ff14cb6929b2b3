package osproc

// What the name of a pod's lock ends in, and of that of a pod without a name. It begins with a dot.
const (
	PodLock     = ".pod"
	PrivateLock = ".private"
)

// A LockHolder is a process that shares an flock(2) lock: it has a descriptor of the
// open file that is locked.
type LockHolder struct {
	Identity
	Session int // its session
	Taker   int // the process that locked the file; 0 if that cannot be seen

	// Given says that one of its descriptors stays open on exec. The descriptor of
	// the process that took the lock is closed on exec, and so is each copy of it
	// that a fork makes. What stays open was put in place for a program.
	Given bool

	// Marked says that the process has the launch's id in the environment that it was executed
	// with. Who looks for holders does not set it.
	Marked bool

	// Ending says that the process is ending, or that a signal is about to end it. A
	// process whose first thread has ended, while others go on, may be in neither state.
	Ending bool
}

// Took reports whether the process has locked the file itself.
func (h LockHolder) Took() bool { return h.Taker == h.PID }
