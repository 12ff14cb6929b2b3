package osproc

import (
	"bytes"
	"context"
	"errors"
	"maps"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"

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
	look := lockLooks.take
	if !asksNoServer() { // then nobody waits for the filesystem of another's lock
		look = findLockHolders
	}
	all, err := look(ctx, map[LockFile]bool{file: true})
	if err != nil {
		return nil, err
	}
	var found []LockHolder
	for _, l := range all[file.Inode] {
		switch h, ok, err := l.of(file); {
		case err != nil:
			return nil, err
		case ok:
			found = append(found, h)
		}
	}
	return found, nil
}

// lockLooks are the looks for everybody in this program. A thousand launches that fail at once
// want to know it of a lock each: that would be a thousand readings of the descriptors of all
// their pods, and of the many that this program has.
var lockLooks = newSharing(findLockHolders, func(all *map[LockFile]bool, files map[LockFile]bool) {
	if *all == nil {
		*all = make(map[LockFile]bool)
	}
	maps.Copy(*all, files)
})

// findLockHolders returns the processes that hold any of the locks, by the inode numbers of the
// files.
func findLockHolders(ctx context.Context, files map[LockFile]bool) (map[uint64][]*lockOwner, error) {
	pids, err := All()
	if err != nil {
		return nil, err
	}
	search := searchFor(ctx, files)
	found := make(map[uint64][]*lockOwner)
	for _, pid := range pids {
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		h, err := search.owner(pid)
		if err != nil {
			return nil, err
		}
		if h == nil {
			continue
		}
		for inode := range h.holds {
			found[inode] = append(found[inode], h)
		}
	}
	return found, nil
}

// LockHolderOf returns the process as a LockHolder, if it is one: see [LockHolders]. The error
// says that this program could not look, for want of a descriptor or of memory.
func LockHolderOf(pid int, file LockFile) (h LockHolder, ok bool, err error) {
	l, err := searchFor(context.Background(), map[LockFile]bool{file: true}).owner(pid)
	if l == nil || err != nil {
		return LockHolder{}, false, err
	}
	return l.of(file)
}

// A lockOwner is a process, and the locks that it holds of those that were searched for.
type lockOwner struct {
	who LockHolder // without what depends on the lock
	holds
}

// holds are the descriptors of files with flock(2) locks, by the inode number of the file.
type holds map[uint64][]hold

// A hold is such a descriptor.
type hold struct {
	dev   uint64
	taker int
	given bool
	err   error // why dev cannot be told
}

// of returns the process as the holder of a file's lock, if it is one.
func (l *lockOwner) of(file LockFile) (h LockHolder, ok bool, err error) {
	h = l.who
	for _, d := range l.holds[file.Inode] {
		switch {
		case d.err != nil:
			return LockHolder{}, false, d.err
		case d.dev == file.Dev:
			h.Taker, h.Given, ok = d.taker, h.Given || d.given, true
		}
	}
	return h, ok, nil
}

// A lockSearch is for the locks of some files.
type lockSearch struct {
	ctx   context.Context
	files map[string]map[uint64]bool // by the last element of the path, and the inode number; nil: those of all pods
}

func searchFor(ctx context.Context, files map[LockFile]bool) lockSearch {
	s := lockSearch{ctx, make(map[string]map[uint64]bool)}
	for file := range files {
		name := filepath.Base(file.Path)
		if s.files[name] == nil {
			s.files[name] = make(map[uint64]bool)
		}
		s.files[name][file.Inode] = true
	}
	return s
}

// owner returns the process as the owner of the locks that it holds; nil if there are none.
func (s lockSearch) owner(pid int) (*lockOwner, error) {
	return identified(pid, func() (holds, error) { return s.heldBy(pid) })
}

// identified returns what the process holds. held looks at its descriptors.
func identified(pid int, held func() (holds, error)) (*lockOwner, error) {
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
	if len(found) == 0 || err != nil {
		return nil, err
	}
	return &lockOwner{LockHolder{Identity: id, Session: st.Session, Ending: st.Ending}, found}, nil
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
	found := make(holds)
	empty := 0     // looks at a first thread that has not ended, and shows no descriptors
	for range 10 { // it may be that all threads have just ended, and one cannot finish
		open, err := s.seek(dir, found)
		if open > 0 || empty == 2 || err != nil {
			return found, err
		}
		st, err := readStatOnce(pid)
		if err != nil || st.kernel {
			return found, shortage(err)
		}
		if !st.isHeadless() {
			empty++
			continue
		}
		if open, err = s.seekThreads(dir, found); open > 0 || err != nil {
			return found, err
		}
	}
	return found, nil
}

// seekThreads is seek for each thread of a process.
func (s lockSearch) seekThreads(dir string, found holds) (open int, err error) {
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
func (s lockSearch) seek(dir string, found holds) (open int, err error) {
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
			if vanished && s.lacks(found) {
				open = 0
			}
			return open, os.NewSyscallError("getdents64", shortage(err))
		}
		if s.ctx.Err() != nil {
			return open, context.Cause(s.ctx)
		}
		_, _, names = unix.ParseDirent(entries[:n], -1, names[:0])
		open += len(names)
		for _, fd := range names {
			n, err := unix.Readlinkat(fds, fd, link[:])
			if err != nil {
				if err = shortage(err); err != nil {
					return open, os.NewSyscallError("readlinkat", err)
				}
				vanished = true
				continue
			}
			name := lastElement(link[:n])
			if !s.wants(name) {
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
			inode, taker, given, ok := parseLock(info[:n])
			if !ok || s.files != nil && !s.files[string(name)][inode] {
				continue
			}
			dev, there, err := statOpen(fds, fd)
			switch {
			case err != nil && isHidden(err) || err == nil && there != inode:
				vanished = true
			default:
				found[inode] = append(found[inode], hold{dev, taker, given, os.NewSyscallError("stat", err)})
			}
		}
	}
}

// lastElement returns the name of the file that the link of a descriptor leads to, in any mount
// namespace, or did before the file was deleted.
func lastElement(link []byte) []byte {
	link = bytes.TrimSuffix(link, []byte(" (deleted)"))
	return link[bytes.LastIndexByte(link, '/')+1:]
}

// wants reports whether a file of that name may be one of those that are searched for.
func (s lockSearch) wants(name []byte) bool {
	if s.files == nil {
		return isPodLock(name)
	}
	return s.files[string(name)] != nil
}

// isPodLock reports whether name is of the lock of a pod, with a name or without.
func isPodLock(name []byte) bool {
	return bytes.HasPrefix(name, []byte(".")) && (bytes.HasSuffix(name, []byte(PodLock)) || bytes.HasSuffix(name, []byte(PrivateLock)))
}

// lacks reports whether there may be a lock that is not among those found.
func (s lockSearch) lacks(found holds) bool {
	for _, inodes := range s.files {
		for inode := range inodes {
			if len(found[inode]) == 0 {
				return true
			}
		}
	}
	return s.files == nil
}

// isHidden reports whether err says that a descriptor was closed meanwhile, or is not ours to see.
func isHidden(err error) bool {
	return errors.Is(err, unix.ENOENT) || errors.Is(err, unix.ESRCH) || errors.Is(err, unix.EACCES)
}

// asksNoServer reports whether statOpen asks no server of a filesystem.
var asksNoServer = sync.OnceValue(func() bool {
	var x unix.Statx_t
	err := unix.Statx(unix.AT_FDCWD, "/", unix.AT_STATX_DONT_SYNC, unix.STATX_INO, &x)
	return err != unix.ENOSYS && err != unix.EPERM
})

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

// parseLock returns the inode number and the taker of the flock(2) lock that the open file has,
// according to the fdinfo of a descriptor (proc_pid_fdinfo(5)), and whether the descriptor
// stays open on exec.
func parseLock(info []byte) (inode uint64, taker int, given, ok bool) {
	for line := range strings.Lines(string(info)) {
		f := strings.Fields(line)
		switch {
		case len(f) == 2 && f[0] == "flags:":
			flags, err := strconv.ParseUint(f[1], 8, 64)
			given = err == nil && flags&unix.O_CLOEXEC == 0
		case len(f) == 9 && f[0] == "lock:" && f[2] == "FLOCK":
			// lock: 1: FLOCK ADVISORY WRITE 4711 fe:00:131074 0 EOF; not all filesystems
			// give the device number here that stat(2) gives.
			taker, _ = strconv.Atoi(f[5])
			var err error
			inode, err = strconv.ParseUint(f[6][strings.LastIndexByte(f[6], ':')+1:], 10, 64)
			ok = err == nil
		}
	}
	return inode, taker, given, ok
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
