package osproc

import (
	"bytes"
	"slices"
	"strconv"

	"golang.org/x/sys/unix"
)

// Executing returns the children of the processes called parents that have yet to show
// what they become: they were forked by this program, or by one of the same file, and
// have not come to execve(2); or they are in the middle of that. [IsExecuting] tells when
// that is over.
//
// A child closes descriptors both before its execve and in it, so it may have none any
// more of those that its parent has closed on exec. In execve the kernel closes them in
// begin_new_exec (fs/exec.c), and knows where the new environment is only when it has
// mapped the program (create_elf_tables, fs/binfmt_elf.c).
func Executing(parents ...int) ([]Identity, error) {
	pids, err := All()
	if err != nil {
		return nil, err
	}
	var found []Identity
	for _, pid := range pids {
		st, err := ReadStat(pid)
		if err != nil || !slices.Contains(parents, st.Parent) || !isExecuting(pid, st) {
			continue
		}
		if id, err := Identify(pid); err == nil {
			found = append(found, id)
		}
	}
	return found, nil
}

// IsExecuting reports whether the process with the Identity, which Executing has
// returned, is still there and has not come to the end of its execve(2).
func IsExecuting(id Identity) bool {
	st, err := ReadStat(id.PID)
	return err == nil && isExecuting(id.PID, st) && id.Check() == nil
}

// isExecuting asks in the order in which a process goes on.
func isExecuting(pid int, st Stat) bool {
	return !st.Dead() && (st.Forked && isOurFile(pid) || hasNoEnvironment(pid))
}

// isOurFile reports whether a process executes the file that this one does.
func isOurFile(pid int) bool {
	var ours, other unix.Stat_t
	return unix.Stat("/proc/self/exe", &ours) == nil &&
		unix.Stat("/proc/"+strconv.Itoa(pid)+"/exe", &other) == nil &&
		ours.Dev == other.Dev && ours.Ino == other.Ino
}

// hasNoEnvironment reports whether a process of a program has memory whose environment
// the kernel does not know yet. A program without any variable has an
// environment all the same: an empty one at a known place. It is false if that is not
// ours to see.
func hasNoEnvironment(pid int) bool {
	dir := "/proc/" + strconv.Itoa(pid)
	var buf [1 << 10]byte
	if n, err := readShort(dir+"/environ", buf[:1]); err != nil || n > 0 {
		return false
	}
	n, err := readShort(dir+"/stat", buf[:])
	if err != nil {
		return false
	}
	fields := bytes.Fields(buf[bytes.LastIndexByte(buf[:n], ')')+1 : n])
	if len(fields) < 49 {
		return false
	}
	flags, err := strconv.ParseUint(string(fields[6]), 10, 64)
	const exiting, kernelThread = 0x4, 0x00200000 // PF_… in include/linux/sched.h
	return err == nil && flags&(exiting|kernelThread) == 0 && string(fields[48]) == "0"
}

// IsThere reports whether the process with the Identity is there: it lives, or is a
// zombie. As long as it is, its number is also that of the group and of the session that
// it leads, and of no others.
func IsThere(id Identity) bool {
	if id.PID <= 1 {
		return false
	}
	start, _, err := lifeOf(id.PID)
	return err == nil && start == id.Start
}
