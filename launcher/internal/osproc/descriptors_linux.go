package osproc

import (
	"sync"
	"sync/atomic"

	"golang.org/x/sys/unix"
)

// descriptorDir lists the descriptors of this process (proc_pid_fd(5)).
const descriptorDir = "/proc/self/fd"

// askDescriptors returns the highest descriptor that is open, if it is low. It does not
// read descriptorDir, which takes several times as long. Since Linux 6.2 the size of that
// directory is the number of descriptors (proc_pid_fd(5)). poll(2) says of each descriptor
// whether it is open. If poll finds as many as there are, there is no higher one. Another
// thread may open a descriptor in between, and askDescriptors would then miss a higher
// one: it always asks about those up to farthest. If low is false, known says that the
// highest descriptor is high, or that poll does not take so many.
func askDescriptors() (highest int, low, known bool) {
	count := countDescriptors()
	if count == 0 {
		return 0, false, false
	}
	all := questions.Get().(*[fewDescriptors]unix.PollFd)
	defer questions.Put(all)
	for _, most := range []int{64, fewDescriptors} {
		if count > most || int(farthest.Load()) >= most {
			continue
		}
		asked := all[:most]
		if _, err := unix.Poll(asked, 0); err != nil {
			return 0, false, true // the limit on descriptors is lower
		}
		open := 0
		for fd := range asked {
			if asked[fd].Revents&unix.POLLNVAL == 0 {
				open++
				highest = fd
			}
		}
		if open == count {
			if _, inherited := askOne(highest); highest >= 64 && inherited {
				farthest.Store(int64(highest))
			}
			return highest, true, true
		}
	}
	return 0, false, true
}

// countDescriptors returns how many descriptors are open, or 0 if the kernel does not
// tell.
func countDescriptors() int {
	var fi unix.Stat_t
	if err := unix.Stat(descriptorDir, &fi); err != nil {
		return 0
	}
	return int(fi.Size)
}

// askOne reports whether a descriptor is open, and whether a child inherits it. If the
// kernel does not say, it reports true for both. It makes a raw system call, which cannot
// block: there may be thousands, and the scheduler would take longer than the kernel.
func askOne(fd int) (open, inherited bool) {
	flags, _, errno := unix.RawSyscall(unix.SYS_FCNTL, uintptr(fd), unix.F_GETFD, 0)
	return errno != unix.EBADF, errno != unix.EBADF && (errno != 0 || flags&unix.FD_CLOEXEC == 0)
}

// farthest is the highest inheritable descriptor that was found last. As a rule this
// process has it from its own parent.
var farthest atomic.Int64

// questions are what poll is asked of each descriptor: whether it is open, and
// nothing more.
var questions = sync.Pool{New: func() any {
	all := new([fewDescriptors]unix.PollFd)
	for fd := range all {
		all[fd].Fd = int32(fd)
	}
	return all
}}
