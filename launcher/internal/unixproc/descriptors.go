//go:build linux || darwin || freebsd

package unixproc

import (
	"os"
	"slices"
	"strconv"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"
)

// A child gets no descriptor that it was not given. What Go opens is closed on
// exec, but what this program has from its own parent need not be, nor what C
// code in it opens, at any time. As package syscall lets nobody have a say
// between fork and exec, the child gets a list of what to close:
//
// Where few descriptors are open, that is all that it was not given, up to the
// highest. Most it would close a moment later anyway.
//
// Where many are open that takes longer than the launch. Then it is all up to the
// highest one that is not closed on exec.
//
// The list cannot reach a descriptor near the limit, or above it, which was opened
// before the limit was lowered: while the child moves its descriptors to their places
// it needs free numbers above all of these. Such a one is marked as closed on exec
// while the child is forked. Another child of this program that is forked in this
// moment, and was to inherit it, does not.
//
// A race remains: what C code opens without O_CLOEXEC between the look and the fork
// is inherited, unless its number is in the list.

// looks is held from a look at the descriptors to the end of the fork: to write, by who
// marks some of them. Otherwise two could undo each other's marks.
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
// other, which takes a fraction of what reading descriptorDir takes, unless they are few
// and far apart: then ok is false, as it is if count is 0. It goes on for a while after the last that it finds:
// meanwhile others may have opened some.
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

// markClosed marks descriptors as closed on exec, and returns what takes the marks
// away again, but from one whose number has become another's meanwhile.
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
