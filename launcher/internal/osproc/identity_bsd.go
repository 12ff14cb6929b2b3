//go:build darwin || freebsd

package osproc

import (
	"encoding/hex"
	"errors"
	"syscall"

	"golang.org/x/sys/unix"
)

// lifeOf only tells whether there is such a process: on these systems an
// Identity is no proof, and nothing is adopted or ended by it.
func lifeOf(pid int) (start uint64, dead bool, err error) {
	err = syscall.Kill(pid, 0)
	if errors.Is(err, syscall.ESRCH) {
		return 0, false, ErrGone
	}
	if errors.Is(err, syscall.EPERM) {
		return 0, false, nil
	}
	return 0, false, err
}

// here returns when the machine was started.
func here() (boot, namespace string, err error) {
	raw, err := unix.SysctlRaw("kern.boottime")
	return hex.EncodeToString(raw), "", err
}

// vanished leaves it to lifeOf, which asks nothing else.
func vanished(int) bool { return false }
