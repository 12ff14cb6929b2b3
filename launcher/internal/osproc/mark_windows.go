package osproc

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode/utf16"
	"unsafe"

	"golang.org/x/sys/windows"
)

// HasMark reports whether any process has mark, NAME=VALUE, in its environment. It only looks
// at processes that were created since launcher was, because launcher's pods were. A process of
// our user whose environment this program may not read may have the mark: then HasMark returns
// an error. Processes that this program may not even identify are passed over: a program may do
// all with a process that it has created, unless that is of another user or of an administrator.
// If launcher is of another system HasMark cannot tell.
//
// The environment is that of the process's own memory, where the PEB says it is
// (NtQueryInformationProcess, RTL_USER_PROCESS_PARAMETERS). There is no other way to ask.
func HasMark(ctx context.Context, mark string, launcher Identity) (bool, error) {
	if launcher.Boot != timeless {
		return false, fmt.Errorf("%w: on another system", ErrElsewhere)
	}
	children, err := snapshot()
	if err != nil {
		return false, err
	}
	for _, pids := range children {
		for _, pid := range pids {
			if ctx.Err() != nil {
				return false, context.Cause(ctx)
			}
			if has, err := hasMark(pid, mark, launcher.Start); has || err != nil {
				return has, err
			}
		}
	}
	return false, nil
}

// hasMark is HasMark for one process. A process that is gone has no mark.
func hasMark(pid int, mark string, since uint64) (bool, error) {
	id, dead, err := lifeOf(pid)
	if errors.Is(err, ErrGone) || errors.Is(err, windows.ERROR_ACCESS_DENIED) || err == nil && (dead || id < since) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	h, err := openProcess(pid, windows.PROCESS_VM_READ)
	if errors.Is(err, windows.ERROR_ACCESS_DENIED) && isOfOurUser(pid) {
		h, err = openEnding(pid)
	}
	switch {
	case errors.Is(err, ErrGone):
		return false, nil
	case errors.Is(err, windows.ERROR_ACCESS_DENIED) && !isOfOurUser(pid):
		return false, nil
	case err != nil:
		return false, fmt.Errorf("read the environment of process %d (%s): %w", pid, CommandName(pid), err)
	}
	defer windows.CloseHandle(h)
	environ, err := readEnviron(h)
	if err != nil && hasEnded(h) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("read the environment of process %d (%s): %w", pid, CommandName(pid), err)
	}
	return slices.Contains(environ, mark), nil
}

// openEnding opens a process of our user whose memory could not be read. It may be about to
// end: then it has ended a moment later, and the error is ErrGone.
func openEnding(pid int) (h windows.Handle, err error) {
	bound, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	until(bound, func() bool {
		if h, err = openProcess(pid, windows.PROCESS_VM_READ); err == nil || errors.Is(err, ErrGone) {
			return true
		}
		if _, dead, lifeErr := lifeOf(pid); dead || errors.Is(lifeErr, ErrGone) {
			err = ErrGone
			return true
		}
		return false
	})
	return h, err
}

// isOfOurUser reports whether the process is proven to be of our user.
func isOfOurUser(pid int) bool {
	h, err := openProcess(pid, 0)
	if err != nil {
		return false
	}
	defer windows.CloseHandle(h)
	var token windows.Token
	if err := windows.OpenProcessToken(h, windows.TOKEN_QUERY, &token); err != nil {
		return false
	}
	defer token.Close()
	theirs, err := token.GetTokenUser()
	if err != nil {
		return false
	}
	ours, err := windows.GetCurrentProcessToken().GetTokenUser()
	return err == nil && ours.User.Sid.Equals(theirs.User.Sid)
}

// maxEnviron is more than an environment has.
const maxEnviron = 64 << 20

// readEnviron returns the variables of a process. What is an address there is a number here: it
// means nothing in this process.
func readEnviron(h windows.Handle) ([]string, error) {
	// A PROCESS_BASIC_INFORMATION.
	var basic struct{ status, peb, affinity, priority, pid, parent uintptr }
	if err := windows.NtQueryInformationProcess(h, windows.ProcessBasicInformation, unsafe.Pointer(&basic), uint32(unsafe.Sizeof(basic)), nil); err != nil {
		return nil, err
	}
	var parameters, at, size uintptr
	for _, step := range []struct {
		from *uintptr
		add  uintptr
		to   *uintptr
	}{
		{&basic.peb, unsafe.Offsetof(windows.PEB{}.ProcessParameters), &parameters},
		{&parameters, unsafe.Offsetof(windows.RTL_USER_PROCESS_PARAMETERS{}.Environment), &at},
		{&parameters, unsafe.Offsetof(windows.RTL_USER_PROCESS_PARAMETERS{}.EnvironmentSize), &size},
	} {
		if err := readMemory(h, *step.from+step.add, unsafe.Slice((*byte)(unsafe.Pointer(step.to)), unsafe.Sizeof(*step.to))); err != nil {
			return nil, err
		}
	}
	if at == 0 || size < 2 || size > maxEnviron {
		return nil, fmt.Errorf("it says that it has %d bytes at %#x", size, at)
	}
	text := make([]uint16, size/2)
	if err := readMemory(h, at, unsafe.Slice((*byte)(unsafe.Pointer(&text[0])), 2*len(text))); err != nil {
		return nil, err
	}
	return strings.Split(string(utf16.Decode(text)), "\x00"), nil
}

// readMemory fills into with what the process has at an address.
func readMemory(h windows.Handle, at uintptr, into []byte) error {
	var n uintptr
	if err := windows.ReadProcessMemory(h, at, &into[0], uintptr(len(into)), &n); err != nil {
		return err
	}
	if n != uintptr(len(into)) {
		return windows.ERROR_PARTIAL_COPY
	}
	return nil
}
