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
// there in the meantime, and package os from asking whether it blocks.
const nonblock = syscall.O_NONBLOCK

// block makes w, which was opened for appending with nonblock, as it were without that.
func block(w *os.File) error {
	return control(w, func(fd int) error {
		_, err := unix.FcntlInt(uintptr(fd), unix.F_SETFL, unix.O_APPEND)
		return os.NewSyscallError("fcntl", err)
	})
}

// watchPaths returns the names under which file may be watched, best first. The
// name in /proc (proc_pid_fd(5)) leads to the very file that is open, even if the
// file has lost its own name; it does not depend on the directory, and no two
// files share it. The other name is for when /proc is not mounted.
func watchPaths(file *os.File) []string {
	return []string{"/proc/self/fd/" + strconv.Itoa(int(file.Fd())), file.Name()}
}

const (
	// burst is how many events of one file in a row the notifier reports at once. A
	// pod that writes more often than that without a pause is pouring.
	burst = 16

	// quiet is how long a file must not change until the notifier reports the next
	// burst of its events at once again.
	quiet = 2 * time.Millisecond

	// gather is how long the notifier gathers the events of a file that pours. Waking
	// a reader for each line would cost more than reading the line.
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
	changes
}

// changes counts the changes of one file, to find out whether it pours. The zero value
// has none.
type changes struct {
	told int // of the present burst
	last time.Time
}

// pour notes a change, and reports whether the file pours: see gather.
func (c *changes) pour(now time.Time) bool {
	if now.Sub(c.last) > quiet {
		c.told = 0
	}
	c.last = now
	c.told++
	return c.told > burst
}

// newNotifier returns a notifier that tells its subscribers of each change of their
// file, or soon after the last of several: mostly from its own goroutine, and
// from others where changes were gathered.
func newNotifier() (*notifier, error) {
	file, err := newInstance()
	if err != nil {
		return nil, err
	}
	n := &notifier{file: file, byWD: make(map[int32]*watched), of: make(map[*subscriber]*watched)}
	go n.read()
	return n, nil
}

// newInstance returns an inotify instance that is in the runtime's poller.
func newInstance() (*os.File, error) {
	fd, err := unix.InotifyInit1(unix.IN_CLOEXEC | unix.IN_NONBLOCK)
	if err != nil {
		return nil, os.NewSyscallError("inotify_init1", err)
	}
	file := os.NewFile(uintptr(fd), "inotify")
	if err := file.SetReadDeadline(time.Time{}); err != nil {
		// It is not in the poller (epoll_ctl(2)), so that nobody could wait for its
		// events.
		file.Close()
		return nil, err
	}
	return file, nil
}

// add watches the file at s.path for s.
func (n *notifier) add(s *subscriber) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	wd, err := addWatch(n.file, s.path)
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

// remove stops the reports to s. A call that has begun, or is about to, may still come.
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

// addWatch asks the kernel to report changes of the file at path on instance. A reader
// needs to know only that the file has grown or shrunk; both are IN_MODIFY. The watch is
// of the file, not of its name.
func addWatch(instance *os.File, path string) (wd int32, err error) {
	err = control(instance, func(fd int) error {
		got, err := unix.InotifyAddWatch(fd, path, unix.IN_MODIFY)
		wd = int32(got)
		return err
	})
	return wd, os.NewSyscallError("inotify_add_watch", err)
}

// removeWatch ends a watch, unless it has gone by itself, with its file.
func removeWatch(instance *os.File, wd int32) {
	_ = control(instance, func(fd int) error {
		_, err := unix.InotifyRmWatch(fd, uint32(wd))
		return err
	})
}

// unwatch asks the kernel to tell no more of a file. The caller holds mu.
func (n *notifier) unwatch(on *watched) {
	if on.wd == 0 {
		return
	}
	delete(n.byWD, on.wd)
	removeWatch(n.file, on.wd)
	on.wd = 0
}

// close ends all watches.
func (n *notifier) close() {
	n.mu.Lock()
	n.closed = true
	n.mu.Unlock()
	n.file.Close()
}

// read is the notifier's goroutine.
func (n *notifier) read() {
	var buf [4096]byte
	for {
		got, err := n.file.Read(buf[:])
		if err != nil { // it was closed
			return
		}
		eachEvent(buf[:got], func(wd int32, mask uint32) {
			subscribers, lost := n.take(wd, mask)
			for _, s := range subscribers {
				s.tell(lost)
			}
		})
	}
}

// eachEvent calls f with each event in data.
func eachEvent(data []byte, f func(wd int32, mask uint32)) {
	for len(data) >= unix.SizeofInotifyEvent {
		event := (*unix.InotifyEvent)(unsafe.Pointer(&data[0]))
		data = data[unix.SizeofInotifyEvent+event.Len:]
		f(event.Wd, event.Mask)
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
	if !on.pour(time.Now()) {
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
	wd, err := addWatch(n.file, on.subscribers[0].path)
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
