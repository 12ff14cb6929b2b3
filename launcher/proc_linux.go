package launcher

import (
	"bytes"
	"fmt"
	"os"
	"strconv"
	"sync"

	"golang.org/x/sys/unix"
)

// A stat is what /proc/PID/stat says of a process (proc_pid_stat(5)).
type stat struct {
	state   byte   // R, S, D, T, Z … of its first thread
	pgrp    int    // its process group
	threads int    // how many have not ended, the first one always counted
	start   uint64 // when it started, in kernel ticks since boot
}

// over reports whether a process has ended and only waits to be reaped. One
// whose first thread has ended while others have not (of a group that is being
// killed, for instance) is a zombie by its state, and still has its sockets.
func (s stat) over() bool {
	return s.state == 'X' || s.state == 'Z' && s.threads <= 1
}

func readStat(pid int) (stat, error) {
	data, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	if err != nil {
		return stat{}, err
	}
	// The command name, in brackets, may hold anything, brackets included.
	fields := bytes.Fields(data[bytes.LastIndexByte(data, ')')+1:])
	if len(fields) < 20 {
		return stat{}, fmt.Errorf("/proc/%d/stat: %d fields after the name, too few", pid, len(fields))
	}
	pgrp, err := strconv.Atoi(string(fields[2]))
	if err != nil {
		return stat{}, err
	}
	threads, err := strconv.Atoi(string(fields[17]))
	if err != nil {
		return stat{}, err
	}
	start, err := strconv.ParseUint(string(fields[19]), 10, 64)
	return stat{state: fields[0][0], pgrp: pgrp, threads: threads, start: start}, err
}

// groupMembers returns the processes of a group, but for those that are over.
func groupMembers(pgid int) ([]int, error) {
	dir, err := os.Open("/proc")
	if err != nil {
		return nil, err
	}
	defer dir.Close()
	names, err := dir.Readdirnames(-1)
	if err != nil {
		return nil, err
	}
	var members []int
	for _, name := range names {
		pid, err := strconv.Atoi(name)
		if err != nil {
			continue
		}
		if st, err := readStat(pid); err == nil && st.pgrp == pgid && !st.over() {
			members = append(members, pid)
		}
	}
	return members, nil
}

// inherited returns the highest number of a descriptor that this program has
// inherited from its own parent and would hand on, or 0 if there is none. What
// Go opens is never handed on (O_CLOEXEC), so it is enough to look once; what C
// code opens later without O_CLOEXEC is not seen.
var inherited = sync.OnceValue(func() int {
	const most = 1 << 12 // closing so many takes a child a fraction of a millisecond
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		return 0
	}
	highest := 0
	for _, e := range entries {
		n, err := strconv.Atoi(e.Name())
		if err != nil || n <= 2 || n > most {
			continue
		}
		if flags, err := unix.FcntlInt(uintptr(n), unix.F_GETFD, 0); err == nil && flags&unix.FD_CLOEXEC == 0 {
			highest = max(highest, n)
		}
	}
	return highest
})

// checkArgumentSpace makes sure that the arguments and the environment of c fit
// onto a new process's stack: a quarter of the limit on it, but no more than
// 6 MiB and no less than 128 KiB (execve(2), and bprm_stack_limits in the
// kernel's fs/exec.c). A size just below the limit is left to the kernel.
func checkArgumentSpace(c *Command) error {
	var stack unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_STACK, &stack); err != nil {
		return nil // then the kernel will tell
	}
	limit := max(min(stack.Cur/4, 6<<20), 128<<10)
	args, env := argumentSizes(c)
	if uint64(args)+uint64(env) <= limit {
		return nil
	}
	return fmt.Errorf("%d bytes of arguments and %d bytes of environment do not fit into %d bytes, a quarter of the stack's limit (ulimit -s): %w",
		args, env, limit, unix.E2BIG)
}
