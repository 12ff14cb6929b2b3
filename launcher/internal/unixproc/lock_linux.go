package unixproc

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// LockHolders returns the other processes of ours for which [HoldsLock] is true.
// /proc/locks would name only the process that took the lock, not its heirs.
func LockHolders(name string, is func(fs.FileInfo) bool) ([]LockHolder, error) {
	pids, err := All()
	if err != nil {
		return nil, err
	}
	var found []LockHolder
	for _, pid := range pids {
		if pid == os.Getpid() || !HoldsLock(pid, name, is) {
			continue
		}
		id, err := Identify(pid)
		if err != nil {
			continue // it has just gone
		}
		if st, err := ReadStat(pid); err == nil {
			found = append(found, LockHolder{id, st.Forked})
		}
	}
	return found, nil
}

// HoldsLock reports whether the process holds the flock(2) lock of the file called
// name, without its directory, that is the right one. To have the file open is not
// enough: that may be a backup, or somebody who looks. It is false for a process
// that we may not look into: one of another user.
func HoldsLock(pid int, name string, is func(fs.FileInfo) bool) bool {
	dir := "/proc/" + strconv.Itoa(pid) + "/fd"
	fds, err := os.ReadDir(dir)
	if err != nil {
		return false
	}
	for _, fd := range fds {
		path := filepath.Join(dir, fd.Name())
		target, err := os.Readlink(path)
		if err != nil || !strings.HasSuffix(target, "/"+name) {
			continue
		}
		if got, err := os.Stat(path); err == nil && is(got) && locked(pid, fd.Name()) {
			return true
		}
	}
	return false
}

// locked reports whether a descriptor shares a flock(2) lock that is held. Its
// entry in /proc/PID/fdinfo names the locks of the open file, also those that
// another process took (proc_pid_fdinfo(5)).
func locked(pid int, fd string) bool {
	info, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/fdinfo/" + fd)
	if err != nil {
		return false
	}
	for line := range strings.Lines(string(info)) {
		if strings.HasPrefix(line, "lock:") && strings.Contains(line, " FLOCK ") {
			return true
		}
	}
	return false
}

// LockTakers returns the processes that took an flock(2) lock of a file with this
// inode number, on any filesystem. They may have ended, or closed the file.
func LockTakers(inode uint64) ([]int, error) {
	locks, err := os.ReadFile("/proc/locks")
	if err != nil {
		return nil, fmt.Errorf("find out who has taken the lock: %w", err)
	}
	var pids []int
	suffix := ":" + strconv.FormatUint(inode, 10)
	for line := range strings.Lines(string(locks)) {
		// 1: FLOCK ADVISORY WRITE 4711 fe:00:131074 0 EOF; not all filesystems
		// give the device number here that stat(2) gives.
		f := strings.Fields(line)
		if len(f) != 8 || f[1] != "FLOCK" || !strings.HasSuffix(f[5], suffix) {
			continue
		}
		if pid, err := strconv.Atoi(f[4]); err == nil {
			pids = append(pids, pid)
		}
	}
	return pids, nil
}
