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

// HasMark reports whether any process has mark, NAME=VALUE, in the environment that it was
// executed with. It only looks at processes that were started since launcher was, because
// launcher's pods were. A process of our user whose environment this program may not read
// may have the mark: then HasMark returns an error. It also returns an error if launcher is
// of another pid namespace, because the processes there cannot be seen. If launcher is of
// another boot of the machine no process has the mark.
func HasMark(ctx context.Context, mark string, launcher Identity) (bool, error) {
	h, err := place()
	if err != nil {
		return false, err
	}
	boot, namespace, err := here()
	switch {
	case err != nil:
		return false, err
	case boot != launcher.Boot:
		return false, nil
	case namespace != launcher.PIDNamespace:
		return false, fmt.Errorf("%w: pid namespace %s, and we are in %s", ErrElsewhere, launcher.PIDNamespace, namespace)
	}
	pids, err := All()
	if err != nil {
		return false, err
	}
	buf := make([]byte, 64<<10)
	for _, pid := range pids {
		if ctx.Err() != nil {
			return false, context.Cause(ctx)
		}
		st, err := ReadStat(pid)
		if err != nil && !isGone(err) {
			return false, err
		}
		if err != nil || st.Dead() || h.startOf(st) < launcher.Start {
			continue
		}
		if has, err := hasMark(pid, mark, &buf); has || err != nil {
			return has, err
		}
	}
	return false, nil
}

// hasMark is HasMark for one process. A process that is gone has no mark.
//
// In the middle of an execve(2) nobody may read the environment but root: the new memory
// is not dumpable yet. So hasMark asks a process of our user again, for a moment.
func hasMark(pid int, mark string, buf *[]byte) (has bool, err error) {
	ctx, cancel := context.WithTimeout(context.Background(), 50*time.Millisecond)
	defer cancel()
	until(ctx, func() bool {
		has, err = hasMarkNow(pid, mark, buf)
		return !errors.Is(err, syscall.EACCES)
	})
	return has, err
}

// hasMarkNow is hasMark, and asks once. The error is EACCES if the process is of our user,
// and its environment may not be read.
func hasMarkNow(pid int, mark string, buf *[]byte) (bool, error) {
	environ, err := readEnviron(pid, buf)
	switch {
	case err == nil:
		return bytes.Contains(append([]byte{0}, environ...), []byte("\x00"+mark+"\x00")), nil
	case isGone(err):
		return false, nil
	case !errors.Is(err, os.ErrPermission):
		return false, err
	}
	// The owner of its files in /proc is root where it cannot be dumped.
	status, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/status")
	if isGone(err) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	uids := numbersOf(string(status), "Uid:")
	if len(uids) < 4 {
		return false, fmt.Errorf("/proc/%d/status has no line for its user", pid)
	}
	if slices.Contains(uids, os.Geteuid()) {
		return false, fmt.Errorf("the environment of pid %d (%s) may not be read: %w", pid, CommandName(pid), syscall.EACCES)
	}
	return false, nil
}

// variable returns the variable called name of the environment that a process was
// executed with, as NAME=VALUE; nil if it has none, or if that is not ours to see
// (proc_pid_environ(5)). buf is for its use, and grows.
func variable(pid int, name []byte, buf *[]byte) []byte {
	if len(name) == 0 {
		return nil
	}
	environ, err := readEnviron(pid, buf)
	if err != nil {
		return nil
	}
	for entry := range bytes.SplitSeq(environ, []byte{0}) {
		if bytes.HasPrefix(entry, name) && len(entry) > len(name) && entry[len(name)] == '=' {
			return entry
		}
	}
	return nil
}

// readEnviron returns the environment that a process was executed with. buf is for its
// use, and grows; what it returns is in there.
func readEnviron(pid int, buf *[]byte) ([]byte, error) {
	path := "/proc/" + strconv.Itoa(pid) + "/environ"
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
	return string(variable(pid, []byte(name), &buf)) == name+"="+value
}
