//go:build linux || darwin || freebsd

package osproc

import (
	"math"

	"golang.org/x/sys/unix"
)

// firstFile is the first descriptor after the standard ones.
const firstFile = 3

// closed is an entry of syscall.ProcAttr.Files that stands for no file: the
// child closes what it has there (as for a nil entry in os.ProcAttr.Files).
const closed = ^uintptr(0)

// fewDescriptors is the highest descriptor where few are open: to close as many
// takes a child some 100 µs.
const fewDescriptors = 512

// descriptorLimit returns the number that new descriptors must be below. The
// limit may have been lowered: then there are higher ones.
func descriptorLimit() uint64 {
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
		return math.MaxUint64
	}
	return uint64(limit.Cur)
}
