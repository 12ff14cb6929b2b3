//go:build linux

package crashpoint

import (
	"fmt"
	"syscall"

	"golang.org/x/sys/unix"
)

const canFail = true

// skipCall has the kernel do nothing in the call that a thread is about to make
// (ptrace(2): a thread is stopped at its entry).
func skipCall(pid int) error {
	return changeRegisters(pid, func(r *unix.PtraceRegs) { r.Orig_rax = ^uint64(0) })
}

// setResult replaces what the call returns that a thread is about to come back
// from.
func setResult(pid int, errno syscall.Errno) error {
	return changeRegisters(pid, func(r *unix.PtraceRegs) { r.Rax = -uint64(errno) })
}

func changeRegisters(pid int, change func(*unix.PtraceRegs)) error {
	var r unix.PtraceRegs
	err := unix.PtraceGetRegs(pid, &r)
	if err == nil {
		change(&r)
		err = unix.PtraceSetRegs(pid, &r)
	}
	if err != nil {
		return fmt.Errorf("change the registers of thread %d: %w", pid, err)
	}
	return nil
}
