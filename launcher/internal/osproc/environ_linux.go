package osproc

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"
	"syscall"
	"time"
)

// errExecuting says that a process is in the middle of execve(2): it has the memory of the
// new program, and the kernel does not know yet where in that the environment is.
var errExecuting = errors.New("it begins to execute a program just now")

// How long is waited for what a process does not show. It is between two programs for less
// than a millisecond, if it is not kept from working: who is not dumpable (PR_SET_DUMPABLE)
// looks alike to all but root, and never shows anything.
const (
	unreadablePatience = 50 * time.Millisecond
	executingPatience  = time.Second
)

// untilTold calls ask until it can tell, and no longer than that makes sense. It returns the
// last error of ask.
func untilTold(ask func() error) (err error) {
	ctx, cancel := context.WithTimeout(context.Background(), executingPatience)
	defer cancel()
	began := time.Now()
	until(ctx, func() bool {
		err = ask()
		return !isUntold(err) || err != errExecuting && time.Since(began) > unreadablePatience
	})
	return err
}

// isUntold reports whether the error of environOf says that it may be told in a moment.
func isUntold(err error) bool { return err == errExecuting || errors.Is(err, syscall.EACCES) }

// environOf returns the environment that a process was executed with; nil if that is not ours
// to see (proc_pid_environ(5)), or if the process is gone. The error is errExecuting, or
// EACCES if the process is of our user, and its environment may not be read: in the middle of
// execve(2) nobody may but root, as long as the program has no code. buf is for the use of
// environOf, and grows; what it returns is in there.
func environOf(pid int, buf *[]byte) ([]byte, error) {
	environ, err := readEnviron("/proc/"+strconv.Itoa(pid)+"/environ", buf)
	switch {
	case err == nil && len(environ) > 0:
		return environ, nil
	case err == nil || isGone(err): // so it is since Linux 6.16 of a thread without memory
		return emptyEnvironOf(pid, buf)
	case !errors.Is(err, os.ErrPermission):
		return nil, err
	}
	// The owner of its files in /proc is root where it cannot be dumped.
	status, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/status")
	if isGone(err) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	uids := numbersOf(string(status), "Uid:")
	if len(uids) < 4 {
		return nil, fmt.Errorf("/proc/%d/status has no line for its user", pid)
	}
	switch {
	case !slices.Contains(uids, os.Geteuid()):
		return nil, nil
	case bytes.Contains(status, []byte("\nVmSize:")) && !bytes.Contains(status, []byte("\nVmExe:\t       0 kB\n")):
		return nil, fmt.Errorf("the environment of pid %d (%s) may not be read: %w", pid, CommandName(pid), syscall.EACCES)
	}
	return emptyEnvironOf(pid, buf) // there is no memory, or no code in it
}

// emptyEnvironOf is environOf for a process that has shown nothing. It finds the reason in one
// read of /proc/PID/stat, so all of that is about one program:
//
//   - The first thread has no memory, for it has ended, and others go on: that may be so for as
//     long as the process lives, or until another thread has executed a program (de_thread in
//     fs/exec.c). What they have is read.
//   - So too with no others: the process is about to end. The kernel's threads have no memory
//     either.
//   - The process was executed without any variable: the environment ends where it begins.
//   - It is in the middle of execve(2). While the kernel counts the variables the environment ends
//     where it begins, too; it sets where the code is only after that (load_elf_binary in
//     fs/binfmt_elf.c, which calls create_elf_tables).
func emptyEnvironOf(pid int, buf *[]byte) ([]byte, error) {
	st, err := readStatOnce(pid)
	switch {
	case err != nil:
		return nil, nil
	case st.isHeadless():
		return environOfThreads(pid, buf)
	case st.exiting || st.kernel || st.bare:
		return nil, nil
	}
	return nil, errExecuting
}

// environOfThreads is environOf for a process whose first thread has ended.
func environOfThreads(pid int, buf *[]byte) ([]byte, error) {
	of := "/proc/" + strconv.Itoa(pid) + "/task/"
	threads, err := os.ReadDir(of)
	if err != nil && !isGone(err) { // gone may be no more than the first thread
		return nil, err
	}
	for _, thread := range threads {
		if environ, err := readEnviron(of+thread.Name()+"/environ", buf); err == nil && len(environ) > 0 {
			return environ, nil
		}
		id, _ := strconv.Atoi(thread.Name())
		if st, err := readStatOnce(id); err == nil && !st.exiting && st.bare {
			return nil, nil
		}
	}
	return nil, errExecuting
}

// variable returns the variable called name in environ, as NAME=VALUE; nil if it is not there.
func variable(environ, name []byte) []byte {
	for entry := range bytes.SplitSeq(environ, []byte{0}) {
		if bytes.HasPrefix(entry, name) && len(entry) > len(name) && entry[len(name)] == '=' {
			return entry
		}
	}
	return nil
}

// readEnviron returns the environment in a file of /proc. buf is for its use, and grows; what it
// returns is in there.
func readEnviron(path string, buf *[]byte) ([]byte, error) {
	n, err := readShort(path, *buf)
	for err == nil && n == len(*buf) {
		*buf = make([]byte, 2*n)
		n, err = readShort(path, *buf)
	}
	return (*buf)[:n], err
}

// HasVariable reports whether the variable called name has value in the environment that
// a process was executed with. It reports false if this program may not see that.
func HasVariable(pid int, name, value string) bool {
	buf := make([]byte, 64<<10)
	has := false
	_ = untilTold(func() error {
		environ, err := environOf(pid, &buf)
		has = string(variable(environ, []byte(name))) == name+"="+value
		return err
	})
	return has
}
