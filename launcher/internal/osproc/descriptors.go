//go:build linux || darwin || freebsd

package osproc

import (
	"os"
	"slices"
	"strconv"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"
)

// A child gets only the descriptors that the caller gives it. Go opens descriptors that
// are closed on exec. Those that this program has from its own parent need not be, nor
// those that C code in it opens, at any time. Where package vfork can start the child,
// the child closes all others itself.
//
// Otherwise package syscall starts the child: on other systems, before Linux 5.9, and
// where the caller wants more of a child than package vfork offers (Command.Attr). Package
// syscall runs no other code between fork and exec, so the child gets a list of
// descriptors to close:
//
// If few descriptors are open, the list has all that the child was not given, up to the
// highest. The child would close most of them a moment later anyway.
//
// If many descriptors are open that takes longer than the launch. Then the list has all
// up to the highest descriptor that is not closed on exec.
//
// The list cannot reach a descriptor near the limit, nor a descriptor above it, which was
// opened before the limit was lowered. While the child moves its descriptors to their
// places it needs free numbers above all in the list. The parent marks such a descriptor
// as closed on exec while it forks the child. If it forks another child in this moment
// that was to inherit the descriptor, that child does not.
//
// A race remains: the child inherits a descriptor that C code opens without O_CLOEXEC
// between the look and the fork, unless the list has its number.

// A fork holds looks from its look at the descriptors to its end: to write, if it marks
// some of them. Otherwise two forks could undo each other's marks.
var looks sync.RWMutex

// forkExec is [syscall.StartProcess] with a child that gets the descriptors in
// attr.Files and no other one.
func forkExec(path string, argv []string, attr *syscall.ProcAttr) (pid int, err error) {
	looks.RLock()
	highest, beyond := descriptorsToClose(attr.Files)
	if len(beyond) == 0 {
		defer looks.RUnlock()
		return forkClosing(highest, path, argv, attr)
	}
	looks.RUnlock()
	looks.Lock()
	defer looks.Unlock()
	highest, beyond = descriptorsToClose(attr.Files)
	defer markClosed(beyond)()
	return forkClosing(highest, path, argv, attr)
}

// forkClosing starts a process that closes all up to highest that are not in
// attr.Files.
func forkClosing(highest int, path string, argv []string, attr *syscall.ProcAttr) (pid int, err error) {
	list := *attr
	list.Files = slices.Grow(slices.Clip(attr.Files), max(highest+1-len(attr.Files), 0))
	for len(list.Files) <= highest {
		list.Files = append(list.Files, closed)
	}
	pid, _, err = syscall.StartProcess(path, argv, &list)
	return pid, err
}

// descriptorsToClose returns what a child has to close that gets those in given: all
// up to highest, and those in beyond, which it cannot close itself.
func descriptorsToClose(given []uintptr) (highest int, beyond []int) {
	limit := descriptorLimit()
	highest, few, known := askDescriptors()
	if few && fits(highest, given, limit) {
		return highest, nil
	}
	highest = 0
	for _, fd := range inheritable(known) {
		switch {
		case fd < len(given): // it is replaced, or closed
		case fits(fd, given, limit):
			highest = max(highest, fd)
		default:
			beyond = append(beyond, fd)
		}
	}
	return highest, beyond
}

// fits reports whether a child that closes all descriptors up to highest has enough
// numbers below limit. It moves the pipe on which it tells that its exec has failed, and
// all of given that would be in the way, above all others first.
func fits(highest int, given []uintptr, limit uint64) bool {
	last := max(highest+1, len(given))
	moved := 1 // the pipe
	for place, fd := range given {
		if fd == closed {
			continue
		}
		last = max(last, int(fd)+1)
		if fd < uintptr(place) {
			moved++
		}
	}
	return uint64(last+moved) < limit
}

// inheritable returns the descriptors that are open and not closed on exec. If counted,
// the system can tell how many are open.
func inheritable(counted bool) (found []int) {
	if counted {
		if found, ok := askEach(countDescriptors()); ok {
			return found
		}
	}
	all, err := readDescriptors()
	if err != nil { // no descriptor is left, or this thread must not read (landlock(7))
		for fd := range 1 << 16 {
			all = append(all, fd)
		}
	}
	return slices.DeleteFunc(all, func(fd int) bool { _, inherited := askOne(fd); return !inherited })
}

// askEach is inheritable where count descriptors are open. It asks one number after the
// other, which takes a fraction of what reading descriptorDir takes, unless the
// descriptors are few and far apart. In that case ok is false, as it is if count is 0. It
// goes on for a while after the last that it finds: others may have opened some meanwhile.
func askEach(count int) (found []int, ok bool) {
	last, seen := 0, 0
	for fd := 0; seen < count || fd < 2*fewDescriptors || fd < last+fewDescriptors; fd++ {
		if fd > 4*(count+fewDescriptors) {
			return nil, false
		}
		open, inherited := askOne(fd)
		if open {
			last, seen = fd, seen+1
		}
		if inherited {
			found = append(found, fd)
		}
	}
	return found, count > 0
}

// readDescriptors returns all descriptors that this process has open.
func readDescriptors() (all []int, err error) {
	dir, err := unix.Open(descriptorDir, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, &os.PathError{Op: "open", Path: descriptorDir, Err: err}
	}
	defer unix.Close(dir)
	buf := make([]byte, 16<<10) // holds some 600 of them
	for {
		n, err := unix.ReadDirent(dir, buf)
		switch {
		case err != nil:
			return nil, &os.PathError{Op: "read", Path: descriptorDir, Err: err}
		case n <= 0:
			return all, nil
		}
		_, _, names := unix.ParseDirent(buf[:n], -1, nil)
		for _, name := range names {
			if fd, err := strconv.Atoi(name); err == nil {
				all = append(all, fd)
			}
		}
	}
}

// markClosed marks descriptors as closed on exec. restore removes the marks, except from a
// descriptor whose number another file has got meanwhile.
func markClosed(fds []int) (restore func()) {
	marked := make(map[int]unix.Stat_t, len(fds))
	for _, fd := range fds {
		var st unix.Stat_t
		if err := unix.Fstat(fd, &st); err != nil {
			continue
		}
		if _, err := unix.FcntlInt(uintptr(fd), unix.F_SETFD, unix.FD_CLOEXEC); err == nil {
			marked[fd] = st
		}
	}
	return func() {
		for fd, was := range marked {
			var st unix.Stat_t
			if err := unix.Fstat(fd, &st); err == nil && st.Dev == was.Dev && st.Ino == was.Ino && st.Rdev == was.Rdev {
				_, _ = unix.FcntlInt(uintptr(fd), unix.F_SETFD, 0)
			}
		}
	}
}
