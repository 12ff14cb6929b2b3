//go:build linux && (amd64 || arm64)

package vfork

import (
	"slices"
	"sync"
	"sync/atomic"
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
	// keepFrom is the descriptor from which on this program counts as one that may come to
	// have many. It is low, and so are the numbers that are free then, which the socket gets.
	keepFrom = 256

	// manyMore is how far a descriptor has to be above the socket. Below that, copies take
	// half a millisecond at most, and forks go on side by side.
	manyMore = 2048

	// mostLent is how many descriptors a message may have (SCM_MAX_FD).
	mostLent = 253
)

// A lender has the socket. Who forks by it has the lock; nobody waits for that.
type lender struct {
	sync.Mutex
	ends  [2]end // what is sent to the first comes to the second
	above int    // the first number above both; 0: there are none
}

// An end is one of the two of the socket.
type end struct {
	fd  int
	ino uint64 // by which it is known: other code may have closed it, and opened something else
}

var lending lender

// unshareRefused says that the kernel, or a filter, does not let a child leave the table.
var unshareRefused atomic.Bool

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
// caller calls back when it has forked.
func (l *lender) lend(c *child) (back func()) {
	highest := slices.Max(append([]int{-1}, c.files...))
	if highest < keepFrom || unshareRefused.Load() {
		return func() {}
	}
	if !l.TryLock() { // another fork may wait for a filesystem that hangs
		return func() {}
	}
	near := func() bool { return l.above > 0 && highest < l.above+manyMore }
	if near() || !l.open() || near() {
		return l.Unlock
	}
	var lent, places []int
	for place, fd := range c.files {
		if fd >= l.above {
			lent, places = append(lent, fd), append(places, place)
		}
	}
	if len(lent) > mostLent || unix.Sendmsg(l.ends[0].fd, []byte{0}, unix.UnixRights(lent...), nil, unix.MSG_DONTWAIT|unix.MSG_NOSIGNAL) != nil {
		return l.Unlock // the child gets a copy
	}
	c.loan = loan{leave: l.above, socket: l.ends[1].fd, places: places, control: make([]byte, unix.CmsgSpace(4*len(lent)))}
	c.vector = unix.Iovec{Base: &c.data[0]}
	c.vector.SetLen(1)
	c.message = unix.Msghdr{Iov: &c.vector, Control: &c.control[0]}
	c.message.SetIovlen(1)
	c.message.SetControllen(len(c.control))
	return func() {
		if c.did <= leaveTable {
			l.drain()
		}
		l.Unlock()
	}
}

// open reports whether there is the socket, and makes it if there is none yet, or none any
// more.
func (l *lender) open() bool {
	if l.above > 0 && l.ends[0].isOpen() && l.ends[1].isOpen() {
		return true
	}
	l.above = 0
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return false
	}
	for i, fd := range pair {
		var s unix.Stat_t
		if unix.Fstat(fd, &s) != nil {
			unix.Close(pair[0])
			unix.Close(pair[1])
			return false
		}
		l.ends[i] = end{fd, s.Ino}
	}
	l.above = max(pair[0], pair[1]) + 1
	return true
}

// isOpen reports whether the number is still this end's.
func (e end) isOpen() bool {
	var s unix.Stat_t
	return unix.Fstat(e.fd, &s) == nil && s.Mode&unix.S_IFMT == unix.S_IFSOCK && s.Ino == e.ino
}

// drain forgets what a child has not taken. The kernel drops the descriptors of a message that
// is read without a buffer for them (unix(7)).
func (l *lender) drain() {
	var data [1]byte
	for {
		if _, _, err := unix.Recvfrom(l.ends[1].fd, data[:], unix.MSG_DONTWAIT); err != nil && err != unix.EINTR {
			return
		}
	}
}

// received returns the number that the child has for the descriptor number i of its loan.
//
//go:nosplit
//go:norace
//go:nocheckptr
func (l *loan) received(i int) int {
	return int(*(*int32)(unsafe.Add(unsafe.Pointer(&l.control[0]), unix.SizeofCmsghdr+4*i)))
}
