package osproc

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strconv"

	"golang.org/x/sys/unix"
)

// A Stat is what /proc/PID/stat says of a process (proc_pid_stat(5)).
type Stat struct {
	State   byte   // R, S, D, T, Z … of its first thread
	Parent  int    // its parent's pid
	Group   int    // its process group
	Session int    // its session
	Forked  bool   // it was forked, and has not come to its exec (PF_FORKNOEXEC)
	Ending  bool   // a signal that ends it is on its way, or it is ending; see readStatOnce
	Threads int    // how many have not ended, the first one always counted
	Start   uint64 // when it started, in kernel ticks since boot, by the clock of our time namespace

	ended bool // it looks dead, and the kernel confirms it
	code  int  // as wait(2) has it; 0 also if the kernel does not tell us

	exiting bool // its first thread is ending, or has ended
	kernel  bool // it is a thread of the kernel
	bare    bool // it was executed without variables, or the kernel does not tell where they are
}

// exit returns how the process ended that is Dead.
func (s Stat) exit() Exit {
	status := unix.WaitStatus(s.code)
	if status.Signaled() {
		return Exit{Signal: status.Signal(), CoreDumped: status.CoreDump(), Known: true}
	}
	return Exit{Code: status.ExitStatus(), Known: s.code != 0}
}

// Dead reports whether the process has ended and only waits to be reaped. One
// whose first thread has ended while others have not (of a group that is being
// killed, for instance) is a zombie by its state, and still has its sockets.
func (s Stat) Dead() bool { return s.ended }

// isHeadless reports whether the first thread of the process has ended, or is about to, and
// others go on. Its own entries in /proc then show neither memory nor descriptors.
func (s Stat) isHeadless() bool { return s.exiting && s.Threads > 1 }

// isGone reports whether the error of ReadStat says that there is no such process.
func isGone(err error) bool {
	return errors.Is(err, fs.ErrNotExist) || errors.Is(err, unix.ESRCH)
}

// seemsDead reports whether the process has ended, or another than its first thread
// is in execve(2). That thread takes the place of the first one, which the kernel
// then unhashes (de_thread in fs/exec.c). A reader that found the first thread just
// before sees it in state X, or in any state without threads.
func (s Stat) seemsDead() bool {
	return s.State == 'X' || s.Threads == 0 || s.State == 'Z' && s.Threads == 1
}

// ReadStat reads the Stat of a process. The error wraps fs.ErrNotExist or
// syscall.ESRCH if there is none.
func ReadStat(pid int) (Stat, error) { return confirmedStat(pid, readStatOnce, hasEnded) }

// confirmedStat reads a Stat until it shows a process that lives, or ended confirms
// that the process has ended. If ended fails, the same reading three times in a row
// confirms it. An exec takes microseconds, so the loop ends after a few readings; a
// process that looks dead in all of them has not ended, by what ended says.
func confirmedStat(pid int, read func(int) (Stat, error), ended func(int) (bool, error)) (st Stat, err error) {
	for looks, failed := 0, 0; looks < 100; looks++ {
		st, err = read(pid)
		if err != nil || !st.seemsDead() {
			return st, err
		}
		gone, err := ended(pid)
		if errors.Is(err, unix.ESRCH) {
			return Stat{}, err
		}
		if err != nil {
			failed++
		}
		if gone || failed == 3 {
			st.ended = true
			break
		}
	}
	return st, nil
}

// readStatOnce reads a Stat, and takes it for what it looks like. Only if the thread was released
// meanwhile it reads again: either the process is gone, or another thread has executed a program
// and taken the place of the first one (findings/stat-has-no-parent-during-exec.sh).
func readStatOnce(pid int) (st Stat, err error) {
	var buf [1024]byte // what is wanted stands in the first half of that
	path := "/proc/" + strconv.Itoa(pid) + "/stat"
	for range 10 { // that many in a row would be as many programs
		n, err := readShort(path, buf[:])
		if err != nil {
			return Stat{}, err
		}
		if st, err = parseStat(buf[:n]); err != nil {
			return Stat{}, fmt.Errorf("%s: %w", path, err)
		}
		if st.Threads > 0 {
			break
		}
	}
	return st, nil
}

// parseStat parses what /proc/PID/stat holds. It allocates nothing: each Stop reads that of
// every process of the machine.
func parseStat(data []byte) (st Stat, err error) {
	var flags, code, environ, environEnd, pending uint64
	fields := 0 // those after the command name, which may hold anything, brackets included
	rest := bytes.TrimSpace(data[bytes.LastIndexByte(data, ')')+1:])
	for len(rest) > 0 {
		var field []byte
		field, rest, _ = bytes.Cut(rest, []byte(" "))
		var err error
		switch fields {
		case 0:
			st.State = field[0]
		case 1:
			st.Parent, err = strconv.Atoi(string(field))
		case 2:
			st.Group, err = strconv.Atoi(string(field))
		case 3:
			st.Session, err = strconv.Atoi(string(field))
		case 6:
			flags, err = strconv.ParseUint(string(field), 10, 64)
		case 17:
			st.Threads, err = strconv.Atoi(string(field))
		case 19:
			st.Start, err = strconv.ParseUint(string(field), 10, 64)
		case 23:
			code, err = strconv.ParseUint(string(field), 10, 64)
		case 28:
			pending, err = strconv.ParseUint(string(field), 10, 64)
		case 47:
			environ, err = strconv.ParseUint(string(field), 10, 64)
		case 48:
			environEnd, err = strconv.ParseUint(string(field), 10, 64)
		case 49:
			st.code, _ = strconv.Atoi(string(field))
		}
		if err != nil {
			return Stat{}, err
		}
		fields++
	}
	if fields < 20 {
		return Stat{}, fmt.Errorf("%d fields after the name, too few", fields)
	}
	const exiting, forkNoExec, kernelThread = 0x4, 0x40, 0x00200000 // PF_… in include/linux/sched.h
	st.exiting, st.Forked, st.kernel = flags&exiting != 0, flags&forkNoExec != 0, flags&kernelThread != 0
	// The kernel sets where the code is after it has counted the variables.
	st.bare = fields < 49 || code != 0 && environEnd != 0 && environ == environEnd
	// A signal that ends a process becomes a SIGKILL for each of its threads
	// (complete_signal in kernel/signal.c), pending until the thread has noticed.
	st.Ending = st.exiting && st.Threads <= 1 || pending&(1<<(unix.SIGKILL-1)) != 0
	return st, nil
}

// readShort reads the beginning of a file of /proc into buf. Each launch and
// each proof of a process reads one, and package os would ask first whether it
// can be polled: seven system calls more.
func readShort(path string, buf []byte) (int, error) {
	fd, err := openShort(path)
	if err != nil {
		return 0, err
	}
	defer unix.Close(fd)
	return readSome(fd, path, buf)
}

// readWhole reads a file of /proc, as [readShort] does, to its end.
func readWhole(path string) ([]byte, error) {
	fd, err := openShort(path)
	if err != nil {
		return nil, err
	}
	defer unix.Close(fd)
	text := make([]byte, 0, 4<<10)
	for {
		text = slices.Grow(text, 1<<10)
		n, err := readSome(fd, path, text[len(text):cap(text)])
		if n == 0 || err != nil {
			return text, err
		}
		text = text[:len(text)+n]
	}
}

// openShort opens a file of /proc to read it.
func openShort(path string) (fd int, err error) {
	err = unix.EINTR
	for errors.Is(err, unix.EINTR) {
		fd, err = unix.Open(path, unix.O_RDONLY|unix.O_CLOEXEC, 0)
	}
	if err != nil {
		return -1, &os.PathError{Op: "open", Path: path, Err: err}
	}
	return fd, nil
}

// readSome reads once from fd, which is the file at path. It returns 0 at the end.
func readSome(fd int, path string, buf []byte) (n int, err error) {
	err = unix.EINTR
	for errors.Is(err, unix.EINTR) {
		n, err = unix.Read(fd, buf)
	}
	if err != nil {
		return 0, &os.PathError{Op: "read", Path: path, Err: err}
	}
	return n, nil
}

// All returns the pids of all processes that can be seen.
func All() ([]int, error) {
	dir, err := os.Open("/proc")
	if err != nil {
		return nil, err
	}
	defer dir.Close()
	names, err := dir.Readdirnames(-1)
	if err != nil {
		return nil, err
	}
	var pids []int
	for _, name := range names {
		if pid, err := strconv.Atoi(name); err == nil {
			pids = append(pids, pid)
		}
	}
	return pids, nil
}
