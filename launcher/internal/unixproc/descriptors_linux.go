package unixproc

import (
	"sync"
	"sync/atomic"

	"golang.org/x/sys/unix"
)

// descriptorDir lists the descriptors of this process (proc_pid_fd(5)).
const descriptorDir = "/proc/self/fd"

// askDescriptors returns the highest descriptor that is open, if it is low, without
// reading descriptorDir, which takes several times as long. The size of that
// directory is the number of descriptors since Linux 6.2 (proc_pid_fd(5)); poll(2)
// says of each whether it is open, and if as many are as there are then there is no
// higher one. Another thread may open one in between, and then a higher one would be
// overlooked: those up to farthest are always asked. If it is not known to be low, known
// says that it is high, or that poll cannot be asked about so many.
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

// askOne reports whether a descriptor is open, and whether a child inherits it. One that
// cannot be asked counts as open. It is a raw system call, as it cannot block, and there
// may be thousands: the scheduler's part would take longer than the kernel's.
func askOne(fd int) (open, inherited bool) {
	flags, _, errno := unix.RawSyscall(unix.SYS_FCNTL, uintptr(fd), unix.F_GETFD, 0)
	return errno != unix.EBADF, errno != unix.EBADF && (errno != 0 || flags&unix.FD_CLOEXEC == 0)
}

// farthest is a descriptor that a child would have inherited, as this process has it from
// its own parent: the highest one that was seen last.
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
