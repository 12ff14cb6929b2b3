//go:build darwin || freebsd

package osproc

import (
	"errors"

	"golang.org/x/sys/unix"
)

// descriptorDir lists the descriptors of this process (fd(4)). On freebsd it is
// complete only where fdescfs(4) is mounted.
const descriptorDir = "/dev/fd"

// askDescriptors knows nothing: the directory has to be read.
func askDescriptors() (highest int, low, known bool) { return 0, false, false }

// countDescriptors does not know either.
func countDescriptors() int { return 0 }

// askOne reports whether a descriptor is open, and whether a child inherits it. If the
// system does not say, it reports true for both.
func askOne(fd int) (open, inherited bool) {
	flags, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0)
	open = !errors.Is(err, unix.EBADF)
	return open, open && (err != nil || flags&unix.FD_CLOEXEC == 0)
}
