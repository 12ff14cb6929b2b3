package osproc

import (
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

// hasNoEnvironment reports whether a process is in the middle of execve(2): it has the memory
// of the new program, and the kernel does not know the environment yet. It is false if that is
// not ours to see.
func hasNoEnvironment(pid int) bool {
	buf := make([]byte, 4<<10)
	_, err := environOf(pid, &buf)
	return err == errExecuting
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
