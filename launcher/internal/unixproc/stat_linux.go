package unixproc

import (
	"bytes"
	"errors"
	"fmt"
	"os"
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
	Threads int    // how many have not ended, the first one always counted
	Start   uint64 // when it started, in kernel ticks since boot
}

// Dead reports whether the process has ended and only waits to be reaped. One
// whose first thread has ended while others have not (of a group that is being
// killed, for instance) is a zombie by its state, and still has its sockets.
func (s Stat) Dead() bool {
	return s.State == 'X' || s.State == 'Z' && s.Threads <= 1
}

// ReadStat reads the Stat of a process; fs.ErrNotExist or syscall.ESRCH if
// there is none.
func ReadStat(pid int) (Stat, error) {
	path := "/proc/" + strconv.Itoa(pid) + "/stat"
	var buf [1024]byte // what is wanted stands in the first half of that
	n, err := readShort(path, buf[:])
	if err != nil {
		return Stat{}, err
	}
	data := buf[:n]
	// The command name, in brackets, may hold anything, brackets included.
	fields := bytes.Fields(data[bytes.LastIndexByte(data, ')')+1:])
	if len(fields) < 20 {
		return Stat{}, fmt.Errorf("%s: %d fields after the name, too few", path, len(fields))
	}
	st := Stat{State: fields[0][0]}
	for _, f := range []struct {
		index int
		into  *int
	}{{1, &st.Parent}, {2, &st.Group}, {3, &st.Session}, {17, &st.Threads}} {
		if *f.into, err = strconv.Atoi(string(fields[f.index])); err != nil {
			return Stat{}, fmt.Errorf("%s: %w", path, err)
		}
	}
	flags, err := strconv.ParseUint(string(fields[6]), 10, 64)
	if err != nil {
		return Stat{}, fmt.Errorf("%s: %w", path, err)
	}
	const forkNoExec = 0x40 // PF_FORKNOEXEC in include/linux/sched.h
	st.Forked = flags&forkNoExec != 0
	if st.Start, err = strconv.ParseUint(string(fields[19]), 10, 64); err != nil {
		return Stat{}, fmt.Errorf("%s: %w", path, err)
	}
	return st, nil
}

// readShort reads the beginning of a file of /proc into buf. Each launch and
// each proof of a process reads one, and package os would ask first whether it
// can be polled: seven system calls more.
func readShort(path string, buf []byte) (int, error) {
	var fd int
	err := error(unix.EINTR)
	for errors.Is(err, unix.EINTR) {
		fd, err = unix.Open(path, unix.O_RDONLY|unix.O_CLOEXEC, 0)
	}
	if err != nil {
		return 0, &os.PathError{Op: "open", Path: path, Err: err}
	}
	defer unix.Close(fd)
	n, err := unix.Read(fd, buf)
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
