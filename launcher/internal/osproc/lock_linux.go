package osproc

import (
	"bytes"
	"context"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// LockHolders returns the processes, this one included, that hold the flock(2) lock
// of the file at path that has the inode number. It returns only the processes whose
// descriptors we may read: our user's.
//
// It asks /proc alone. The link of a descriptor tells the file's name, and its fdinfo
// tells the lock; the file itself, which may be on a filesystem that hangs, is not
// touched. /proc/locks is not read: it lists the locks of all users, and takes longer
// the more of them there are.
//
// LockHolders stops with context.Cause(ctx) when ctx is done.
func LockHolders(ctx context.Context, path string, inode uint64) ([]LockHolder, error) {
	pids, err := All()
	if err != nil {
		return nil, err
	}
	var found []LockHolder
	for _, pid := range pids {
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		if h, ok := LockHolderOf(pid, path, inode); ok {
			found = append(found, h)
		}
	}
	return found, nil
}

// LockHolderOf returns the process as a LockHolder, if it is one: see [LockHolders].
func LockHolderOf(pid int, path string, inode uint64) (h LockHolder, ok bool) {
	name := []byte("/" + filepath.Base(path))
	return lockHolder(pid, func() (LockHolder, bool) { return heldLock(pid, name, inode) })
}

// lockHolder returns the process as a LockHolder if it is one. held looks at its
// descriptors.
func lockHolder(pid int, held func() (LockHolder, bool)) (h LockHolder, ok bool) {
	if _, ok = held(); !ok {
		return h, false
	}
	id, err := Identify(pid)
	if err != nil {
		return h, false // it has just gone
	}
	st, err := ReadStat(pid)
	if err != nil {
		return h, false
	}
	// Only now: what is found is about the process with the Identity.
	if h, ok = held(); ok {
		h.Identity, h.Session, h.Ending = id, st.Session, st.Ending
	}
	return h, ok
}

// heldLock looks for the lock among the descriptors of a process.
func heldLock(pid int, name []byte, inode uint64) (h LockHolder, holds bool) {
	dir := "/proc/" + strconv.Itoa(pid)
	// Not by package os, which would ask of each directory whether it can be polled.
	fds, err := unix.Open(dir+"/fd", unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return h, false
	}
	defer unix.Close(fds)
	var entries, link [4 << 10]byte
	var names []string
	for {
		n, err := unix.ReadDirent(fds, entries[:])
		if err != nil || n <= 0 {
			return h, holds
		}
		_, _, names = unix.ParseDirent(entries[:n], -1, names[:0])
		for _, fd := range names {
			n, err := unix.Readlinkat(fds, fd, link[:])
			if err != nil || !isNamed(link[:n], name) {
				continue
			}
			info := make([]byte, 4<<10)
			if n, err = readShort(dir+"/fdinfo/"+fd, info); err != nil {
				continue
			}
			if taker, given, ok := parseLock(info[:n], inode); ok {
				h.Taker, h.Given, holds = taker, h.Given || given, true
			}
		}
	}
}

// isNamed reports whether the link of a descriptor leads to a file whose path ends
// with name, in any mount namespace, or that did before the file was deleted.
func isNamed(link, name []byte) bool {
	return bytes.HasSuffix(bytes.TrimSuffix(link, []byte(" (deleted)")), name)
}

// parseLock returns the taker of the flock(2) lock that the open file has, according
// to the fdinfo of a descriptor (proc_pid_fdinfo(5)), and whether the descriptor
// stays open on exec.
func parseLock(info []byte, inode uint64) (taker int, given, ok bool) {
	suffix := ":" + strconv.FormatUint(inode, 10)
	for line := range strings.Lines(string(info)) {
		f := strings.Fields(line)
		switch {
		case len(f) == 2 && f[0] == "flags:":
			flags, err := strconv.ParseUint(f[1], 8, 64)
			given = err == nil && flags&unix.O_CLOEXEC == 0
		case len(f) == 9 && f[0] == "lock:" && f[2] == "FLOCK" && strings.HasSuffix(f[6], suffix):
			// lock: 1: FLOCK ADVISORY WRITE 4711 fe:00:131074 0 EOF; not all filesystems
			// give the device number here that stat(2) gives.
			taker, _ = strconv.Atoi(f[5])
			ok = true
		}
	}
	return taker, given, ok
}

// CommandName returns the name of a process's program, cut off as the kernel keeps it,
// or "" if it is gone.
func CommandName(pid int) string {
	var name [64]byte
	n, err := readShort("/proc/"+strconv.Itoa(pid)+"/comm", name[:])
	if err != nil {
		return ""
	}
	return strings.TrimSuffix(string(name[:n]), "\n")
}

// MarkHolders finds nobody that LockHolders does not find.
func MarkHolders(string) ([]LockHolder, error) { return nil, nil }
