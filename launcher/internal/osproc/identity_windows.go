package osproc

import (
	"errors"
	"fmt"
	"path/filepath"

	"golang.org/x/sys/windows"
)

// timeless is the Boot of every Identity here. The creation time of a process is absolute,
// in units of 100 ns since 1601 (GetProcessTimes), so no other thing is needed to tell
// processes of different boots apart.
const timeless = "windows"

func here() (boot, namespace string, err error) { return timeless, "", nil }

// vanished leaves it to lifeOf, which has to open the process in any case.
func vanished(int) bool { return false }

// lifeOf returns when the process was created. A process that has ended is still there as
// long as anybody has a handle of it: it is dead.
func lifeOf(pid int) (start uint64, dead bool, err error) {
	h, err := openProcess(pid, 0)
	if err != nil {
		return 0, false, err
	}
	defer windows.CloseHandle(h)
	if start, err = creationOf(h); err != nil {
		return 0, false, err
	}
	return start, hasEnded(h), nil
}

// openProcess opens a process, so that it can be identified and waited for, with the
// rights in access besides. The error is ErrGone if there is none.
func openProcess(pid int, access uint32) (windows.Handle, error) {
	if pid <= 0 || int64(pid) != int64(uint32(pid)) {
		return 0, ErrGone
	}
	h, err := windows.OpenProcess(windows.PROCESS_QUERY_LIMITED_INFORMATION|windows.SYNCHRONIZE|access, false, uint32(pid))
	switch {
	case errors.Is(err, windows.ERROR_INVALID_PARAMETER):
		return 0, ErrGone
	case err != nil:
		return 0, fmt.Errorf("open process %d: %w", pid, err)
	}
	// OpenProcess ignores the lowest two bits of a number.
	if got, err := windows.GetProcessId(h); err != nil || got != uint32(pid) {
		windows.CloseHandle(h)
		return 0, ErrGone
	}
	return h, nil
}

// creationOf returns when a process was created.
func creationOf(h windows.Handle) (uint64, error) {
	var created, exited, kernel, user windows.Filetime
	if err := windows.GetProcessTimes(h, &created, &exited, &kernel, &user); err != nil {
		return 0, fmt.Errorf("ask when a process was created: %w", err)
	}
	return uint64(created.HighDateTime)<<32 | uint64(created.LowDateTime), nil
}

// hasEnded reports whether a process has ended. Its exit code does not tell: 259, which
// stands for a process that runs, may be the code of a process that has ended
// (GetExitCodeProcess).
func hasEnded(h windows.Handle) bool {
	event, err := windows.WaitForSingleObject(h, 0)
	return err == nil && event == windows.WAIT_OBJECT_0
}

// CommandName returns the name of the process's program; "" if it cannot be told.
func CommandName(pid int) string {
	h, err := openProcess(pid, 0)
	if err != nil {
		return ""
	}
	defer windows.CloseHandle(h)
	if path := imageOf(h); path != "" {
		return filepath.Base(path)
	}
	return ""
}

// imageOf returns the path of the program of a process; "" if it cannot be told.
func imageOf(h windows.Handle) string {
	buf := make([]uint16, windows.MAX_LONG_PATH)
	n := uint32(len(buf))
	if err := windows.QueryFullProcessImageName(h, 0, &buf[0], &n); err != nil {
		return ""
	}
	return windows.UTF16ToString(buf[:n])
}
