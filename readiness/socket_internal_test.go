//go:build unix

package readiness

import (
	"errors"
	"fmt"
	"net"
	"os"
	"syscall"
	"testing"
)

// Row 14: which errors of a dial are worth another attempt, and which are not.
// EINTR cannot be had from outside.
func TestMayGetBetter(t *testing.T) {
	for err, want := range map[error]bool{
		syscall.ENOENT:               true,
		syscall.ECONNREFUSED:         true,
		syscall.EAGAIN:               true,
		syscall.EINTR:                true,
		syscall.EACCES:               false,
		syscall.EPERM:                false,
		syscall.ENOTDIR:              false,
		syscall.ELOOP:                false,
		syscall.ENOTSOCK:             false,
		syscall.EPROTOTYPE:           false,
		syscall.ENAMETOOLONG:         false,
		syscall.EINVAL:               false,
		syscall.EMFILE:               false,
		ErrForeignPeer:               false,
		errors.New("something else"): false,
	} {
		dial := fmt.Errorf("as the probe says it: %w", &net.OpError{Op: "dial", Net: "unix", Err: os.NewSyscallError("connect", err)})
		if got := mayGetBetter(dial); got != want {
			t.Errorf("%v: %v, want %v", dial, got, want)
		}
	}
}
