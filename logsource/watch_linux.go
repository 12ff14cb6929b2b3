package logsource

import (
	"os"
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
	file    *os.File
	changed func(path string, lost bool)

	mu     sync.Mutex // never held while calling changed
	closed bool
	byPath map[string]*watched
	byWD   map[int32]*watched
}

// A watched is one file, which may be watched under several names.
type watched struct {
	paths []string
	wd    int32 // 0 while its events are gathered
	told  int   // of the present burst
	last  time.Time
}

// newNotifier returns a notifier that calls changed after each change of a file,
// or soon after the last of several: mostly from its own goroutine, and from
// others where changes were gathered. lost says that the file is not watched
// any more. An empty path says that any file may have changed.
func newNotifier(changed func(path string, lost bool)) (*notifier, error) {
	fd, err := unix.InotifyInit1(unix.IN_CLOEXEC | unix.IN_NONBLOCK)
	if err != nil {
		return nil, os.NewSyscallError("inotify_init1", err)
	}
	n := &notifier{
		file:    os.NewFile(uintptr(fd), "inotify"),
		changed: changed,
		byPath:  make(map[string]*watched),
		byWD:    make(map[int32]*watched),
	}
	go n.read()
	return n, nil
}

// add watches the file at path, which is not watched under that name yet.
func (n *notifier) add(path string) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	wd, err := n.watch(path)
	if err != nil {
		return err
	}
	w := n.byWD[wd]
	if w == nil {
		w = &watched{wd: wd}
		n.byWD[wd] = w
	}
	w.paths = append(w.paths, path)
	n.byPath[path] = w
	return nil
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

// unwatch asks the kernel to tell no more of w. The caller holds mu.
func (n *notifier) unwatch(w *watched) {
	if w.wd == 0 {
		return
	}
	delete(n.byWD, w.wd)
	// The only error is that the watch has gone by itself, with its file.
	_ = n.control(func(fd int) error {
		_, err := unix.InotifyRmWatch(fd, uint32(w.wd))
		return err
	})
	w.wd = 0
}

// remove ends the watch of the file at path, if there is one.
func (n *notifier) remove(path string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	w := n.byPath[path]
	if w == nil {
		return
	}
	delete(n.byPath, path)
	for i, p := range w.paths {
		if p == path {
			w.paths = append(w.paths[:i:i], w.paths[i+1:]...)
			break
		}
	}
	if len(w.paths) == 0 {
		n.unwatch(w)
	}
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
			paths, lost := n.take(event.Wd, event.Mask)
			for _, path := range paths {
				n.changed(path, lost)
			}
		}
	}
}

// everything is what changed is told when it is not known what has changed.
var everything = []string{""}

// take notes one event, and returns whom to tell of it.
func (n *notifier) take(wd int32, mask uint32) (paths []string, lost bool) {
	if mask&unix.IN_Q_OVERFLOW != 0 {
		return everything, false
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	w := n.byWD[wd]
	switch {
	case w == nil: // it was removed since
		return nil, false
	case mask&unix.IN_IGNORED != 0: // its filesystem was unmounted
		delete(n.byWD, wd)
		w.wd = 0
		return w.paths, true
	}
	now := time.Now()
	if now.Sub(w.last) > quiet {
		w.told = 0
	}
	w.last = now
	if w.told++; w.told <= burst {
		return w.paths, false
	}
	n.unwatch(w)
	time.AfterFunc(gather, func() { n.resume(w) })
	return nil, false
}

// resume ends the gathering of events of w.
func (n *notifier) resume(w *watched) {
	n.mu.Lock()
	if n.closed || len(w.paths) == 0 {
		n.mu.Unlock()
		return
	}
	paths, lost := w.paths, true
	if wd, err := n.watch(paths[0]); err == nil {
		lost = false
		if other := n.byWD[wd]; other != nil { // somebody else began to watch it
			other.paths = append(other.paths, paths...)
			for _, path := range paths {
				n.byPath[path] = other
			}
		} else {
			w.wd = wd
			n.byWD[wd] = w
		}
	}
	n.mu.Unlock()
	for _, path := range paths {
		n.changed(path, lost)
	}
}
