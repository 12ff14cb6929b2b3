//go:build linux && (amd64 || arm64)

package vfork

import (
	"fmt"
	"math"
	"slices"
	"sync"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// A child that gets a copy of its parent's descriptors copies and closes them all. That is 0.3
// µs for each: with thousands it is most of what a fork takes. So such a child begins with
// the parent's own table (CLONE_FILES), and leaves that at once, with a copy of what is below a
// number (close_range(2), CLOSE_RANGE_UNSHARE). What the child is given is above, and comes
// to it through a socket that is below (SCM_RIGHTS, unix(7)). Nothing is duplicated and closed
// in the parent: that would end the record locks which the program has on such a file
// (F_SETLK in fcntl_locking(2)).
const (
	// keepFrom is the descriptor with which this program may be about to have many. It is
	// low, and so are the numbers that are free then, which the socket gets.
	keepFrom = 256

	// manyMore is how far a descriptor has to be above the socket. Below that, copies take
	// half a millisecond at most, and forks go on side by side.
	manyMore = 2048

	// mostLent is how many descriptors a message may have (SCM_MAX_FD).
	mostLent = 253

	// mostFailures is how many children may fail to leave the table, or to take what is lent.
	// One may have been killed just then.
	mostFailures = 3
)

// A lender has the socket. Who forks by it has the lock; nobody waits for that.
type lender struct {
	sync.Mutex
	ends     [2]end // what is sent to the first comes to the second
	above    int    // a table that ends here has both; 0: there are none yet
	failures int    // of children
	off      bool   // it does not work here, or not any more
}

// An end is one of the two of the socket.
type end struct {
	fd     int
	cookie uint64 // by which it is known: other code may have closed it, and opened something else
}

var lending lender

// A loan is what a child gets through the socket. Its buffers are made by the parent; the
// child has the kernel write into them.
type loan struct {
	leave   int   // it has the parent's table, and copies what is below; 0: it has a copy of all
	socket  int   // from which it receives
	places  []int // that the descriptors are for, in order
	message unix.Msghdr
	data    [1]byte
	vector  unix.Iovec
	control []byte // one message with the descriptors, once they have come
}

// lend makes c begin with the table of its parent if that is possible and saves something. The
// caller calls back when it has forked, and says whether the child has failed in that.
func (l *lender) lend(c *child) (back func(failed bool)) {
	highest := slices.Max(append([]int{-1}, c.files...))
	if highest < keepFrom || !l.TryLock() { // another fork may wait for a filesystem that hangs
		return func(bool) {}
	}
	back = func(bool) { l.Unlock() }
	if !l.prepare() || highest < l.above+manyMore || !l.isOpen() {
		return back
	}
	var lent, places []int
	for place, fd := range c.files {
		if fd >= l.above {
			lent, places = append(lent, fd), append(places, place)
		}
	}
	// The numbers that they get have to be below the limit.
	if len(lent) > mostLent || c.most < uint64(l.above+len(lent)) || unix.Sendmsg(l.ends[0].fd, []byte{0}, unix.UnixRights(lent...), nil, unix.MSG_DONTWAIT|unix.MSG_NOSIGNAL) != nil {
		return back // the child gets a copy
	}
	c.loan = loan{leave: l.above, socket: l.ends[1].fd, places: places, control: make([]byte, unix.CmsgSpace(4*len(lent)))}
	c.vector = unix.Iovec{Base: &c.data[0]}
	c.vector.SetLen(1)
	c.message = unix.Msghdr{Iov: &c.vector, Control: &c.control[0]}
	c.message.SetIovlen(1)
	c.message.SetControllen(len(c.control))
	return func(failed bool) {
		if failed {
			l.failures++
			l.off = l.off || l.failures == mostFailures
		}
		if c.did <= leaveTable && l.ends[1].isOpen() {
			// What the child has not taken. The kernel drops the descriptors of a message
			// that is read without a buffer for them (unix(7)).
			unix.Recvfrom(l.ends[1].fd, c.data[:], unix.MSG_DONTWAIT)
		}
		l.Unlock()
	}
}

// prepare makes the socket at first, and reports whether lending works.
func (l *lender) prepare() bool {
	if l.above == 0 && !l.off {
		l.off = !leavesWell() || !l.make()
	}
	return !l.off
}

// isOpen reports whether the socket is. It is not made again if other code has closed it: that
// would close it again.
func (l *lender) isOpen() bool {
	if l.ends[0].isOpen() && l.ends[1].isOpen() {
		return true
	}
	for _, e := range l.ends {
		if e.isOpen() {
			unix.Close(e.fd)
		}
	}
	l.off = true
	return false
}

// make makes the socket, and reports whether it could.
func (l *lender) make() bool {
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return false
	}
	for i, fd := range pair {
		cookie, err := unix.GetsockoptUint64(fd, unix.SOL_SOCKET, unix.SO_COOKIE)
		if err != nil {
			unix.Close(pair[0])
			unix.Close(pair[1])
			return false
		}
		l.ends[i] = end{fd, cookie}
	}
	const word = 64 // a table has whole words of bits
	l.above = (max(pair[0], pair[1]) + word) &^ (word - 1)
	return true
}

func kept() (fds []int) {
	lending.Lock()
	defer lending.Unlock()
	for _, e := range lending.ends {
		if lending.above > 0 && !lending.off {
			fds = append(fds, e.fd)
		}
	}
	return fds
}

// isOpen reports whether the number is still this end's. That asks no filesystem.
func (e end) isOpen() bool {
	cookie, err := unix.GetsockoptUint64(e.fd, unix.SOL_SOCKET, unix.SO_COOKIE)
	return err == nil && cookie == e.cookie
}

// leavesWell reports whether the kernel leaves a table well. Before Linux 6.11 the new table
// was damaged: a program could not open all the descriptors that it may (commit 9a2fa1472083,
// "fix bitmap corruption on close_range() with CLOSE_RANGE_UNSHARE"), and before 5.18 worse.
// Some later releases of older kernels are mended, which is not asked.
func leavesWell() bool {
	major, minor, err := kernel()
	return err == nil && (major > 6 || major == 6 && minor >= 11)
}

// kernel returns the version of the kernel.
func kernel() (major, minor int, err error) {
	var name unix.Utsname
	if err := unix.Uname(&name); err != nil {
		return 0, 0, err
	}
	_, err = fmt.Sscanf(unix.ByteSliceToString(name.Release[:]), "%d.%d", &major, &minor)
	return major, minor, err
}

// take leaves the table, and puts into files what comes through the socket. The child calls it,
// so what is said of forkChild holds for it.
//
//go:nosplit
//go:norace
//go:nocheckptr
func (l *loan) take(files []int) syscall.Errno {
	if _, _, errno := syscall.RawSyscall(unix.SYS_CLOSE_RANGE, uintptr(l.leave), math.MaxUint32, unix.CLOSE_RANGE_UNSHARE); errno != 0 {
		return errno
	}
	if _, _, errno := syscall.RawSyscall(unix.SYS_RECVMSG, uintptr(l.socket), uintptr(unsafe.Pointer(&l.message)), unix.MSG_DONTWAIT|unix.MSG_CMSG_CLOEXEC); errno != 0 {
		return errno
	}
	if int(l.message.Controllen) != len(l.control) || l.message.Flags&unix.MSG_CTRUNC != 0 { // a security module keeps some back
		return syscall.EACCES
	}
	for i := 0; i < len(l.places); i++ {
		files[l.places[i]] = l.received(i)
	}
	return 0
}

// received returns the number that the child has for the descriptor number i of its loan.
//
//go:nosplit
//go:norace
//go:nocheckptr
func (l *loan) received(i int) int {
	return int(*(*int32)(unsafe.Add(unsafe.Pointer(&l.control[0]), unix.SizeofCmsghdr+4*i)))
}
