package osproc

import (
	"bytes"
	"fmt"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// A lockPlace is where a pod has its lock. The zero value is nowhere.
type lockPlace struct {
	name string // of the lock's file, which ends as all of them do
	fd   int    // its descriptor in a pod
}

// isAnothers reports whether a process has the lock of a pod with another name. The copy
// of the launcher that took the lock does not count: it is closed on exec. isAnothers
// reports false if this program may not see the process's descriptors.
func (l lockPlace) isAnothers(pid int) bool {
	if l.name == "" {
		return false
	}
	var link [4 << 10]byte
	n, err := unix.Readlink(fmt.Sprintf("/proc/%d/fd/%d", pid, l.fd), link[:])
	if err != nil {
		return false
	}
	name := filepath.Base(string(bytes.TrimSuffix(link[:n], []byte(" (deleted)"))))
	if name == l.name || !strings.HasPrefix(name, ".") || filepath.Ext(name) != filepath.Ext(l.name) {
		return false
	}
	info := make([]byte, 4<<10)
	if n, err = readShort(fmt.Sprintf("/proc/%d/fdinfo/%d", pid, l.fd), info); err != nil {
		return false
	}
	_, given, _ := parseLock(info[:n], 0)
	return given && bytes.Contains(info[:n], []byte(" FLOCK "))
}
