package logsource

import (
	"os"
	"slices"
	"strconv"
	"sync"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// nonblock keeps an open from waiting for the other end of a FIFO that was put
// there in the meantime.
const nonblock = syscall.O_NONBLOCK

// watchPaths returns the names under which file may be watched, best first. The
// one in /proc (proc_pid_fd(5)) leads to the very file that is open, whatever
// has become of its name; it does not depend on the directory, and no two
// files share it. The other is for when /proc is not mounted.
func watchPaths(file *os.File) []string {
	return []string{"/proc/self/fd/" + strconv.Itoa(int(file.Fd())), file.Name()}
}

const (
	// burst is how many events of one file in a row are told at once. A pod
	// that says more than that without a pause is pouring.
	burst = 16

	// quiet is how long a file must not have changed until the next burst of
	// its events is told at once again.
	quiet = 2 * time.Millisecond

	// gather is how long the events of a file that pours are gathered. Waking
	// somebody for each line would cost more than reading it.
	gather = time.Millisecond
)

// A notifier tells of changes of files, by inotify(7). It takes one descriptor,
// and one goroutine, read, which close ends.
//
// It is not fsnotify, which asks for every kind of event, hands each through a
// channel to another goroutine, and wakes it for every write of a pod that
// pours.
type notifier struct {
	file *os.File

	mu     sync.Mutex // never held while telling a subscriber
	closed bool
	byWD   map[int32]*watched
	of     map[*subscriber]*watched
}

// A watched is one file.
type watched struct {
	subscribers []*subscriber // never changed in place
	wd          int32         // 0 while its events are gathered
	told        int           // of the present burst
	last        time.Time
}

// newNotifier returns a notifier that tells its subscribers of each change of their
// file, or soon after the last of several: mostly from its own goroutine, and
// from others where changes were gathered.
func newNotifier() (*notifier, error) {
	fd, err := unix.InotifyInit1(unix.IN_CLOEXEC | unix.IN_NONBLOCK)
	if err != nil {
		return nil, os.NewSyscallError("inotify_init1", err)
	}
	n := &notifier{file: os.NewFile(uintptr(fd), "inotify"),
		byWD: make(map[int32]*watched), of: make(map[*subscriber]*watched)}
	if err := n.file.SetReadDeadline(time.Time{}); err != nil {
		// It is not in the runtime's poller (epoll_ctl(2)), so that nobody could
		// wait for its events.
		n.file.Close()
		return nil, err
	}
	go n.read()
	return n, nil
}

// add watches the file at s.path for s.
func (n *notifier) add(s *subscriber) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	wd, err := n.watch(s.path)
	if err != nil {
		return err
	}
	on := n.byWD[wd]
	if on == nil {
		on = &watched{wd: wd}
		n.byWD[wd] = on
	}
	n.of[s] = on
	on.subscribers = append(slices.Clone(on.subscribers), s)
	return nil
}

// remove tells s no more. A call that has begun, or is about to, may still come.
func (n *notifier) remove(s *subscriber) {
	n.mu.Lock()
	defer n.mu.Unlock()
	on := n.of[s]
	delete(n.of, s)
	on.subscribers = slices.DeleteFunc(slices.Clone(on.subscribers), func(other *subscriber) bool { return other == s })
	if len(on.subscribers) == 0 {
		n.unwatch(on)
	}
}

// watch asks the kernel to tell of the file at path. All there is to know of a
// file that somebody reads is that it has more, or less; both are IN_MODIFY.
// The watch is of the file, not of its name. The caller holds mu.
func (n *notifier) watch(path string) (wd int32, err error) {
	err = n.control(func(fd int) error {
		got, err := unix.InotifyAddWatch(fd, path, unix.IN_MODIFY)
		wd = int32(got)
		return err
	})
	return wd, os.NewSyscallError("inotify_add_watch", err)
}

// unwatch asks the kernel to tell no more of a file. The caller holds mu.
func (n *notifier) unwatch(on *watched) {
	if on.wd == 0 {
		return
	}
	delete(n.byWD, on.wd)
	// The only error is that the watch has gone by itself, with its file.
	_ = n.control(func(fd int) error {
		_, err := unix.InotifyRmWatch(fd, uint32(on.wd))
		return err
	})
	on.wd = 0
}

// close ends all watches.
func (n *notifier) close() {
	n.mu.Lock()
	n.closed = true
	n.mu.Unlock()
	n.file.Close()
}

func (n *notifier) control(f func(fd int) error) (err error) {
	conn, err := n.file.SyscallConn()
	if err != nil {
		return err
	}
	if controlErr := conn.Control(func(fd uintptr) { err = f(int(fd)) }); controlErr != nil {
		return controlErr
	}
	return err
}

// read is the notifier's goroutine.
func (n *notifier) read() {
	var buf [4096]byte
	for {
		got, err := n.file.Read(buf[:])
		if err != nil { // it was closed
			return
		}
		for rest := buf[:got]; len(rest) >= unix.SizeofInotifyEvent; {
			event := (*unix.InotifyEvent)(unsafe.Pointer(&rest[0]))
			rest = rest[unix.SizeofInotifyEvent+event.Len:]
			subscribers, lost := n.take(event.Wd, event.Mask)
			for _, s := range subscribers {
				s.tell(lost)
			}
		}
	}
}

// take notes one event, and returns whom to tell of it, and whether the kernel
// watches their file no more.
func (n *notifier) take(wd int32, mask uint32) (subscribers []*subscriber, lost bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if mask&unix.IN_Q_OVERFLOW != 0 { // any file may have changed
		for _, on := range n.byWD {
			subscribers = append(subscribers, on.subscribers...)
		}
		return subscribers, false
	}
	on := n.byWD[wd]
	switch {
	case on == nil: // it was removed since
		return nil, false
	case mask&unix.IN_IGNORED != 0: // its filesystem was unmounted, or it was deleted
		delete(n.byWD, wd)
		on.wd = 0
		return on.subscribers, true
	}
	now := time.Now()
	if now.Sub(on.last) > quiet {
		on.told = 0
	}
	on.last = now
	if on.told++; on.told <= burst {
		return on.subscribers, false
	}
	n.unwatch(on)
	time.AfterFunc(gather, func() { n.resume(on) })
	return nil, false
}

// resume ends the gathering of events of a file.
func (n *notifier) resume(on *watched) {
	subscribers, lost := n.rewatch(on)
	for _, s := range subscribers {
		s.tell(lost)
	}
}

// rewatch watches a file again, and returns whom to tell that it may have changed,
// and whether the kernel watches it no more.
func (n *notifier) rewatch(on *watched) (subscribers []*subscriber, lost bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.closed || len(on.subscribers) == 0 {
		return nil, false
	}
	wd, err := n.watch(on.subscribers[0].path)
	if err != nil {
		return on.subscribers, true
	}
	other := n.byWD[wd]
	if other == nil {
		on.wd = wd
		n.byWD[wd] = on
		return on.subscribers, false
	}
	// Somebody else began to watch it.
	for _, s := range on.subscribers {
		n.of[s] = other
	}
	other.subscribers = append(slices.Clone(other.subscribers), on.subscribers...)
	return on.subscribers, false
}
