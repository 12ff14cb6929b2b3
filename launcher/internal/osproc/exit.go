package osproc

import "syscall"

// An Exit is how a process ended.
type Exit struct {
	Code       int            // exit status; meaningless if a signal ended it
	Signal     syscall.Signal // that ended it; 0 if it exited by itself
	CoreDumped bool
	Known      bool // false: it is gone, and the system does not tell how
}
