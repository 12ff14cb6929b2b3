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

// hasMark is HasMark for one process. A process that is gone has no mark. It asks again while
// the process is between two programs.
func hasMark(pid int, mark string, buf *[]byte) (has bool, err error) {
	err = untilTold(func() (err error) {
		environ, err := environOf(pid, buf)
		has = bytes.Contains(append([]byte{0}, environ...), []byte("\x00"+mark+"\x00"))
		return err
	})
	return has, err
}

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
// an execve(2) nobody may read it but root. buf is for its use, and grows; what it returns is
// in there.
func environOf(pid int, buf *[]byte) ([]byte, error) {
	environ, err := readEnviron(pid, buf)
	switch {
	case err == nil && len(environ) == 0 && !isWithoutVariables(pid):
		return nil, errExecuting
	case err == nil:
		return environ, nil
	case isGone(err):
		return nil, nil
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
	if slices.Contains(uids, os.Geteuid()) {
		return nil, fmt.Errorf("the environment of pid %d (%s) may not be read: %w", pid, CommandName(pid), syscall.EACCES)
	}
	return nil, nil
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
	has := false
	_ = untilTold(func() error {
		environ, err := environOf(pid, &buf)
		has = string(variable(environ, []byte(name))) == name+"="+value
		return err
	})
	return has
}
