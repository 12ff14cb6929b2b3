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
	var buf [1]byte
	if n, err := readShort("/proc/"+strconv.Itoa(pid)+"/environ", buf[:]); err != nil || n > 0 {
		return false
	}
	_, end, memory := environPlace(pid)
	return memory && end == "0"
}

// isWithoutVariables reports whether a process, whose environment has just been read as empty,
// may well have an empty one: the kernel knows where it begins and ends, and that is the
// same place; or it has no memory, as it is about to end.
func isWithoutVariables(pid int) bool {
	start, end, memory := environPlace(pid)
	return !memory || start == end && end != "0"
}

// environPlace returns where the environment of a process begins and ends; 0 if the kernel
// does not know that, or if it is not ours to see. memory is false if the process is gone, or
// ending, or a thread of the kernel.
func environPlace(pid int) (start, end string, memory bool) {
	var buf [1 << 10]byte
	n, err := readShort("/proc/"+strconv.Itoa(pid)+"/stat", buf[:])
	if err != nil {
		return "", "", false
	}
	fields := bytes.Fields(buf[bytes.LastIndexByte(buf[:n], ')')+1 : n])
	if len(fields) < 49 {
		return "", "", false
	}
	flags, err := strconv.ParseUint(string(fields[6]), 10, 64)
	const exiting, kernelThread = 0x4, 0x00200000 // PF_… in include/linux/sched.h
	return string(fields[47]), string(fields[48]), err == nil && flags&(exiting|kernelThread) == 0
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
