//go:build linux || darwin || freebsd

package unixproc

import (
	"strconv"
	"syscall"

	"golang.org/x/sys/unix"
)

// A forkExec starts a process, as [syscall.StartProcess] does.
type forkExec func(path string, argv []string, attr *syscall.ProcAttr) (pid int, handle uintptr, err error)

// A child gets no descriptor that it was not given. What Go opens is closed on
// exec, but what this program has from its own parent need not be, nor what C
// code in it opens, at any time. As package syscall lets nobody have a say
// between fork and exec, there are two ways to be sure:
//
// Where few descriptors are open the child closes all that it was not given, up to
// the highest. Most it would close a moment later anyway. It misses what C code opens
// above the highest between the look and the fork.
//
// Where many are open that takes longer than the launch. The process is then
// forked by a thread with a table of descriptors of its own, in which all are
// closed on exec: see forkExecAlone.
//
// The second way is also for a highest descriptor near the limit, or above it: one
// that was opened before the limit was lowered. While the child moves its descriptors
// to their places it needs free numbers above the highest.
//
// descriptorsToClose returns the highest descriptor that a child of start has to
// close, or 0 if there is none. The child gets those in given.
func descriptorsToClose(given []uintptr) (highest int, start forkExec) {
	highest, few, known := askDescriptors()
	if few && fits(highest, given) {
		return highest, syscall.StartProcess
	}
	alone := canForkAlone()
	if !known || !alone {
		highest, few = highestDescriptor(alone)
	}
	if alone && !(few && fits(highest, given)) {
		return 0, forkExecAlone
	}
	return highest, syscall.StartProcess
}

// fits reports whether a child that closes all descriptors up to highest has enough
// numbers. It moves the pipe on which it tells that its exec has failed, and all of
// given that would be in the way, above all others first.
func fits(highest int, given []uintptr) bool {
	last := max(highest+1, len(given)) + 1
	for place, fd := range given {
		if fd != closed && fd < uintptr(place) {
			last++
		}
	}
	return uint64(last) < descriptorLimit()
}

// highestDescriptor returns the highest one that this process has open, or 0 if
// that cannot be told. If justFew it gives up where there are many, and few is
// false.
func highestDescriptor(justFew bool) (highest int, few bool) {
	dir, err := unix.Open(descriptorDir, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return 0, false // /proc is not mounted, or no descriptor is left
	}
	defer unix.Close(dir)
	buf := make([]byte, 4096) // holds some 150 of them
	for looked := 0; ; looked++ {
		n, err := unix.ReadDirent(dir, buf)
		if err != nil || n <= 0 {
			return highest, true
		}
		if looked > 0 && justFew {
			return 0, false
		}
		_, _, names := unix.ParseDirent(buf[:n], -1, nil)
		for _, name := range names {
			if fd, err := strconv.Atoi(name); err == nil {
				highest = max(highest, fd)
			}
		}
		if highest > fewDescriptors && justFew {
			return 0, false
		}
	}
}
