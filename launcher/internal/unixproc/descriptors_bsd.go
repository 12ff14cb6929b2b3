//go:build darwin || freebsd

package unixproc

import (
	"errors"
	"syscall"
)

// descriptorDir lists the descriptors of this process (fd(4)). On freebsd it is
// complete only where fdescfs(4) is mounted.
const descriptorDir = "/dev/fd"

// askDescriptors knows nothing: the directory has to be read.
func askDescriptors() (highest int, low, known bool) { return 0, false, false }

// forkExecAlone is not there: no thread can have descriptors of its own.
func forkExecAlone(string, []string, *syscall.ProcAttr) (int, uintptr, error) {
	return 0, 0, errors.ErrUnsupported
}

// canForkAlone reports whether forkExecAlone works.
func canForkAlone() bool { return false }
