package osproc

import (
	"fmt"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// A lockPlace is where a pod has its lock. The zero value is nowhere.
type lockPlace struct {
	file LockFile // its name ends as those of all of them do
	fd   int      // its descriptor in a pod
}

// isAnothers reports whether a process has the lock of another pod: a file with another name,
// or with the same one in another base. The copy of the launcher that took the lock does not
// count: it is closed on exec. isAnothers reports false if this program may not see the
// process's descriptors. The error is a shortage.
func (l lockPlace) isAnothers(pid int) (bool, error) {
	if l.file.Path == "" {
		return false, nil
	}
	var link [4 << 10]byte
	path := fmt.Sprintf("/proc/%d/fd/%d", pid, l.fd)
	n, err := unix.Readlink(path, link[:])
	if err != nil {
		return false, shortage(err)
	}
	name := string(lastElement(link[:n]))
	own := filepath.Base(l.file.Path)
	if ext := filepath.Ext(name); !strings.HasPrefix(name, ".") || ext != filepath.Ext(own) && ext != PodLock && ext != PrivateLock {
		return false, nil
	}
	if name == own {
		if dev, inode, err := statOpen(unix.AT_FDCWD, path); err != nil || dev == l.file.Dev && inode == l.file.Inode {
			return false, shortage(err)
		}
	}
	info := make([]byte, 4<<10)
	if n, err = readShort(fmt.Sprintf("/proc/%d/fdinfo/%d", pid, l.fd), info); err != nil {
		return false, shortage(err)
	}
	_, _, given, locked := parseLock(info[:n])
	return given && locked, nil
}
