//go:build !windows

package readiness

import (
	"os"
	"syscall"
)

// The system has no other names for these than package syscall.
var notYet, notReachable, isBeingWritten []error

// openShared opens a file that another process may be writing. It does not block if that
// has become a FIFO.
func openShared(path string) (*os.File, error) {
	return os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0)
}
