package osproc

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// LockHolders returns the processes, this one included, that hold the flock(2) lock
// of a file. It returns only the processes whose descriptors we may read: our user's.
//
// It asks /proc. The link of a descriptor tells the file's name, and its fdinfo tells the
// lock. Files that have another name or inode number, which may be on filesystems that hang,
// are not touched. /proc/locks is not read: it lists the locks of all users, and takes longer
// the more of them there are.
//
// All who call LockHolders at the same time look together. It stops with context.Cause(ctx)
// when ctx is done.
func LockHolders(ctx context.Context, file LockFile) ([]LockHolder, error) {
	found, err := lockLooks.take(ctx, []LockFile{file})
	if err != nil {
		return nil, err
	}
	return slices.Clone(found[file]), nil
}

// lockLooks are the looks for everybody in this program. A thousand launches that fail at once
// want to know it of a lock each: that would be a thousand readings of the descriptors of all
// their pods, and of the many that this program has.
var lockLooks = newSharing(findLockHolders, func(all *[]LockFile, files []LockFile) { *all = append(*all, files...) })

// findLockHolders returns the holders of each of the locks.
func findLockHolders(ctx context.Context, files []LockFile) (map[LockFile][]LockHolder, error) {
	pids, err := All()
	if err != nil {
		return nil, err
	}
	search := newLockSearch(files)
	found := make(map[LockFile][]LockHolder, len(files))
	for _, pid := range pids {
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		held, err := search.identified(pid)
		if err != nil {
			return nil, err
		}
		for file, h := range held {
			found[file] = append(found[file], h)
		}
	}
	return found, nil
}

// LockHolderOf returns the process as a LockHolder, if it is one: see [LockHolders]. The error
// says that this program could not look, for want of a descriptor or of memory.
func LockHolderOf(pid int, file LockFile) (h LockHolder, ok bool, err error) {
	held, err := newLockSearch([]LockFile{file}).identified(pid)
	h, ok = held[file]
	return h, ok, err
}

// holds are the locks that a process holds, with it as the holder of each.
type holds map[LockFile]LockHolder

// A lockSearch is for the locks of some files, by the last element of their paths.
type lockSearch map[string][]LockFile

func newLockSearch(files []LockFile) lockSearch {
	s := make(lockSearch, len(files))
	for _, file := range files {
		if name := filepath.Base(file.Path); !slices.Contains(s[name], file) {
			s[name] = append(s[name], file)
		}
	}
	return s
}

// identified returns which of the locks the process holds, with its Identity.
func (s lockSearch) identified(pid int) (holds, error) {
	return identified(pid, func() (holds, error) { return s.heldBy(pid) })
}

// identified returns what the process holds. held looks at its descriptors.
func identified(pid int, held func() (holds, error)) (holds, error) {
	if found, err := held(); len(found) == 0 || err != nil {
		return nil, err
	}
	id, err := Identify(pid)
	if err != nil {
		return nil, shortage(err) // or it has just gone
	}
	st, err := ReadStat(pid)
	if err != nil {
		return nil, shortage(err)
	}
	// Only now: what is found is about the process with the Identity.
	found, err := held()
	for file, h := range found {
		h.Identity, h.Session, h.Ending = id, st.Session, st.Ending
		found[file] = h
	}
	return found, err
}

// shortage returns err if it says that this program, or the machine, lacks what it takes to
// look; nil if it is about the process that was looked at.
func shortage(err error) error {
	if errors.Is(err, unix.EMFILE) || errors.Is(err, unix.ENFILE) || errors.Is(err, unix.ENOMEM) {
		return err
	}
	return nil
}

// heldBy looks for the locks among the descriptors of a process. Those of a process whose
// first thread has ended, while others go on, are the others'. If one of these executes a
// program, it becomes the first, and its own number vanishes. So who shows no descriptors is
// looked at twice more, and as often as it takes while the first thread has ended.
func (s lockSearch) heldBy(pid int) (holds, error) {
	dir := "/proc/" + strconv.Itoa(pid)
	var found holds
	empty := 0     // looks at a first thread that has not ended, and shows no descriptors
	for range 10 { // it may be that all threads have just ended, and one cannot finish
		open, err := s.seek(dir, &found)
		if open > 0 || empty == 2 || err != nil {
			return found, err
		}
		st, err := readStatOnce(pid)
		if err != nil || st.kernel {
			return nil, shortage(err)
		}
		if !st.isHeadless() {
			empty++
			continue
		}
		if open, err = s.seekThreads(dir, &found); open > 0 || err != nil {
			return found, err
		}
	}
	return found, nil
}

// seekThreads is seek for each thread of a process.
func (s lockSearch) seekThreads(dir string, found *holds) (open int, err error) {
	threads, err := os.ReadDir(dir + "/task")
	if err := shortage(err); err != nil {
		return 0, err
	}
	for _, thread := range threads {
		n, err := s.seek(dir+"/task/"+thread.Name(), found)
		if err != nil {
			return open, err
		}
		open += n
	}
	return open, nil
}

// seek looks for the locks among the descriptors that a directory of /proc tells, and returns how
// many there are. It adds to found what it finds. The error says that it cannot be told.
// If a descriptor vanishes meanwhile, and a lock is not found, none counts: the thread may have
// ended.
func (s lockSearch) seek(dir string, found *holds) (open int, err error) {
	// Not by package os, which would ask of each directory whether it can be polled.
	fds, err := unix.Open(dir+"/fd", unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return 0, os.NewSyscallError("open", shortage(err))
	}
	defer unix.Close(fds)
	var entries, link [4 << 10]byte
	var names []string
	vanished := false
	for {
		n, err := unix.ReadDirent(fds, entries[:])
		if err != nil || n <= 0 {
			if vanished && s.lacks(*found) {
				open = 0
			}
			return open, nil
		}
		_, _, names = unix.ParseDirent(entries[:n], -1, names[:0])
		open += len(names)
		for _, fd := range names {
			n, err := unix.Readlinkat(fds, fd, link[:])
			if err != nil {
				vanished = true
				continue
			}
			named := s.named(link[:n])
			if len(named) == 0 {
				continue
			}
			info := make([]byte, 4<<10)
			if n, err = readShort(dir+"/fdinfo/"+fd, info); err != nil {
				if err = shortage(err); err != nil {
					return open, err
				}
				vanished = true
				continue
			}
			for _, file := range named {
				taker, given, ok := parseLock(info[:n], file.Inode)
				if !ok {
					continue
				}
				switch same, err := file.isOpen(fds, fd); {
				case err != nil:
					return open, err
				case same:
					found.add(file, taker, given)
				default:
					vanished = true
				}
			}
		}
	}
}

// named returns the files that the link of a descriptor may lead to, in any mount namespace, or
// did before they were deleted.
func (s lockSearch) named(link []byte) []LockFile {
	link = bytes.TrimSuffix(link, []byte(" (deleted)"))
	return s[string(link[bytes.LastIndexByte(link, '/')+1:])]
}

// lacks reports whether one of the locks is not among those found.
func (s lockSearch) lacks(found holds) bool {
	for _, files := range s {
		for _, file := range files {
			if _, ok := found[file]; !ok {
				return true
			}
		}
	}
	return false
}

// add notes another descriptor of the file.
func (f *holds) add(file LockFile, taker int, given bool) {
	if *f == nil {
		*f = make(holds)
	}
	(*f)[file] = LockHolder{Taker: taker, Given: given || (*f)[file].Given}
}

// isOpen reports whether a descriptor, an entry of the directory fds, is of the file. A
// descriptor that is closed meanwhile, or is not ours to see, is not.
func (f LockFile) isOpen(fds int, fd string) (bool, error) {
	dev, inode, err := statOpen(fds, fd)
	switch {
	case errors.Is(err, unix.ENOENT) || errors.Is(err, unix.ESRCH) || errors.Is(err, unix.EACCES):
		return false, nil
	case err != nil:
		return false, os.NewSyscallError("stat", err)
	}
	return dev == f.Dev && inode == f.Inode, nil
}

// statOpen returns which file a descriptor is of. It does not ask the server of a filesystem
// that has one, where statx(2) is there and no filter forbids it.
func statOpen(fds int, fd string) (dev, inode uint64, err error) {
	var x unix.Statx_t
	err = unix.Statx(fds, fd, unix.AT_STATX_DONT_SYNC, unix.STATX_INO, &x)
	if err == nil {
		return unix.Mkdev(x.Dev_major, x.Dev_minor), x.Ino, nil
	}
	if err != unix.ENOSYS && err != unix.EPERM {
		return 0, 0, err
	}
	var st unix.Stat_t
	err = unix.Fstatat(fds, fd, &st, 0)
	return uint64(st.Dev), st.Ino, err
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
