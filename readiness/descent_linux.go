package readiness

import (
	"bytes"
	"errors"
	"os"
	"strconv"

	"golang.org/x/sys/unix"
)

// descends reports whether ancestor is the parent of the process pid, or the
// parent of that, and so on. It returns false where /proc does not show it.
func descends(pid, ancestor int) bool {
	const most = 1000 // no chain is that long; it ends a chain that changes under us
	for range most {
		s, ok := readStat(pid)
		switch {
		case !ok || s.parent <= 1:
			return false
		case s.parent == ancestor:
			return true
		}
		pid = s.parent
	}
	return false
}

// A procStat is what /proc/PID/stat says of a process (proc_pid_stat(5)).
type procStat struct {
	parent  int
	threads int    // 0: released while it was read
	start   uint64 // in ticks since the boot
	ending  bool   // it looks as if it only waited to be reaped
}

// hasEnded reports whether the process pid has ended, reaped or not. It reports false if
// /proc does not show it.
func hasEnded(pid int) bool { return confirmedEnd(pid, readStat, polledEnd) }

// confirmedEnd is hasEnded. While another thread than the first is in execve(2), which takes
// microseconds, the first one looks dead (de_thread in fs/exec.c): so a pidfd has to say the
// same. If there is none, three looks in a row decide.
func confirmedEnd(pid int, look func(int) (procStat, bool), polled func(int) (bool, error)) bool {
	for range 3 {
		s, ok := look(pid)
		if !ok {
			return isGone(pid)
		}
		if !s.ending {
			return false
		}
		if ended, err := polled(pid); err == nil {
			return ended
		}
	}
	return true
}

// polledEnd asks a pidfd whether the process has ended. The error says that it cannot tell.
func polledEnd(pid int) (bool, error) {
	pidfd, err := unix.PidfdOpen(pid, 0)
	if errors.Is(err, unix.ESRCH) {
		return true, nil // it was reaped meanwhile
	}
	if err != nil {
		return false, err
	}
	defer unix.Close(pidfd)
	poll := []unix.PollFd{{Fd: int32(pidfd), Events: unix.POLLIN}}
	n, err := unix.Poll(poll, 0)
	return n > 0, err
}

// readStat returns what /proc says of pid; ok is false if it says nothing. If the thread was
// released meanwhile it reads again: either the process is gone, or another thread has executed a
// program and taken the place of the first one (findings/stat-has-no-parent-during-exec.sh).
func readStat(pid int) (s procStat, ok bool) {
	for range 10 {
		if s, ok = readStatOnce(pid); !ok || s.threads > 0 {
			break
		}
	}
	return s, ok
}

// readStatOnce is readStat, once.
func readStatOnce(pid int) (s procStat, ok bool) {
	data, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	// The command's name, in brackets, may hold anything.
	i := bytes.LastIndexByte(data, ')')
	if err != nil || i < 0 {
		return s, false
	}
	fields := bytes.Fields(data[i+1:]) // from the third on
	const state, parent, threads, start = 0, 4 - 3, 20 - 3, 22 - 3
	if len(fields) <= start {
		return s, false
	}
	var errParent, errThreads, errStart error
	s.parent, errParent = strconv.Atoi(string(fields[parent]))
	s.threads, errThreads = strconv.Atoi(string(fields[threads]))
	s.start, errStart = strconv.ParseUint(string(fields[start]), 10, 64)
	// While another thread goes on, a process whose first one has ended is a zombie too.
	s.ending = string(fields[state]) == "X" || s.threads == 0 || string(fields[state]) == "Z" && s.threads == 1
	return s, errParent == nil && errThreads == nil && errStart == nil
}

// isGone reports whether there is no process pid.
func isGone(pid int) bool { return errors.Is(unix.Kill(pid, 0), unix.ESRCH) }
