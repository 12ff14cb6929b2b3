package unixproc

import (
	"math"
	"os"
	"runtime"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// descriptorDir lists the descriptors of this process (proc_pid_fd(5)).
const descriptorDir = "/proc/self/fd"

// askDescriptors returns the highest descriptor that is open, if it is low, without
// reading descriptorDir, which takes several times as long. The size of that
// directory is the number of descriptors since Linux 6.2 (proc_pid_fd(5)); poll(2)
// says of each whether it is open, and if as many are as there are then there is no
// higher one. If it is not known to be low, known says that it is high.
func askDescriptors() (highest int, low, known bool) {
	var fi unix.Stat_t
	if err := unix.Stat(descriptorDir, &fi); err != nil || fi.Size == 0 {
		return 0, false, false
	}
	all := questions.Get().(*[fewDescriptors]unix.PollFd)
	defer questions.Put(all)
	for _, most := range []int{64, fewDescriptors} {
		if fi.Size > int64(most) {
			continue
		}
		asked := all[:most]
		if _, err := unix.Poll(asked, 0); err != nil {
			return 0, false, false
		}
		open := int64(0)
		for fd := range asked {
			if asked[fd].Revents&unix.POLLNVAL == 0 {
				open++
				highest = fd
			}
		}
		if open == fi.Size {
			return highest, true, true
		}
	}
	return 0, false, true
}

// questions are what poll is asked of each descriptor: whether it is open, and
// nothing more.
var questions = sync.Pool{New: func() any {
	all := new([fewDescriptors]unix.PollFd)
	for fd := range all {
		all[fd].Fd = int32(fd)
	}
	return all
}}

// forkExecAlone starts a process that gets no descriptor but those in attr, by
// a thread that has left the table of descriptors that all others share, and has
// marked what is in its copy as closed on exec. What the others open from then on,
// and how, does not matter; and none of theirs is changed.
//
// Until the thread has ended, files that this process closes stay open, as they do
// until a child that was forked comes to its exec.
//
// The pidfd in attr.Sys.PidFD is the one that the fork gives to the thread, carried
// over. To open it again by the child's number would be unsafe: the program may reap
// the child, and the number become another's. It is -1 if it cannot be carried.
func forkExecAlone(path string, argv []string, attr *syscall.ProcAttr) (pid int, handle uintptr, err error) {
	pidfd := attr.Sys.PidFD
	if pidfd == nil {
		pidfd = new(int)
	}
	ends, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return 0, 0, os.NewSyscallError("socketpair", err)
	}
	defer unix.Close(ends[0])
	defer unix.Close(ends[1])
	inThread(func() {
		threads := -1 // the pidfd, as a descriptor of the thread
		sys := *attr.Sys
		sys.PidFD = &threads
		alone := *attr
		alone.Sys = &sys
		if err = leaveDescriptors(firstFile); err == nil {
			pid, handle, err = syscall.StartProcess(path, argv, &alone)
		}
		if err == nil && threads >= 0 {
			_ = unix.Sendmsg(ends[0], nil, unix.UnixRights(threads), nil, 0)
		}
	})
	*pidfd = -1
	if err == nil {
		*pidfd = receiveDescriptor(ends[1])
	}
	return pid, handle, err
}

// receiveDescriptor returns the descriptor that was sent to socket, or -1.
func receiveDescriptor(socket int) int {
	space := make([]byte, unix.CmsgSpace(4))
	_, n, _, _, err := unix.Recvmsg(socket, nil, space, unix.MSG_DONTWAIT|unix.MSG_CMSG_CLOEXEC)
	if err != nil {
		return -1
	}
	messages, err := unix.ParseSocketControlMessage(space[:n])
	if err != nil || len(messages) != 1 {
		return -1
	}
	fds, err := unix.ParseUnixRights(&messages[0])
	if err != nil || len(fds) != 1 {
		return -1
	}
	return fds[0]
}

// leaveDescriptors gives the calling thread a table of descriptors of its own,
// and marks those from first on in it as closed on exec.
func leaveDescriptors(first uint) error {
	return unix.CloseRange(first, math.MaxInt32, unix.CLOSE_RANGE_UNSHARE|unix.CLOSE_RANGE_CLOEXEC)
}

// canForkAlone reports whether forkExecAlone works: from Linux 5.11 on, where no
// filter of system calls is in the way (close_range(2)).
var canForkAlone = sync.OnceValue(func() (can bool) {
	// The runtime goes on in such a thread, and may poll there at any time: for
	// the copy to have its epoll instance there has to be one. It comes with the
	// first timer.
	<-time.After(time.Nanosecond)
	inThread(func() { can = leaveDescriptors(math.MaxInt32) == nil })
	return can
})

// inThread runs f in a thread that ends with it, and waits for f. A goroutine that
// ends without having unlocked its thread ends the thread. The main thread is the
// exception: it would stay for ever (runtime.LockOSThread).
func inThread(f func()) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		runtime.LockOSThread()
		if unix.Gettid() == unix.Getpid() {
			defer runtime.UnlockOSThread()
			inThread(f) // which cannot get this one now
			return
		}
		f()
	}()
	<-done
}
