//go:build linux

package faults_test

import (
	"os"
	"os/exec"
	"syscall"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/podlaunch/podlaunch/launcher/internal/podrig"
)

// A refusal is a system call that the kernel refuses with errno, as a filter of
// a container does, or a kernel that does not know it.
type refusal struct {
	call  uintptr
	errno syscall.Errno

	// If mask is not 0, only calls are refused whose argument number arg has one
	// of its bits set, or, if exact, is mask.
	arg   int
	mask  uint32
	exact bool
}

// refuse has the kernel refuse calls, to this process and all that it starts,
// for good (seccomp(2)). To be called in a process of the test's own.
func refuse(t *testing.T, calls ...refusal) {
	t.Helper()
	const (
		load    = unix.BPF_LD | unix.BPF_W | unix.BPF_ABS
		ret     = unix.BPF_RET | unix.BPF_K
		jump    = unix.BPF_JMP | unix.BPF_K
		nr      = 0  // offset of the number of the call in struct seccomp_data
		args    = 16 // of its arguments, 8 bytes each; the low half first on the machines that Go runs on most
		always  = 1
		ifMask  = 3
		allowed = unix.SECCOMP_RET_ALLOW
	)
	var program []unix.SockFilter
	for _, r := range calls {
		length, test := uint8(always), uint16(unix.BPF_JSET)
		if r.mask != 0 {
			length = ifMask
		}
		if r.exact {
			test = unix.BPF_JEQ
		}
		program = append(program,
			unix.SockFilter{Code: load, K: nr},
			unix.SockFilter{Code: jump | unix.BPF_JEQ, K: uint32(r.call), Jf: length})
		if r.mask != 0 {
			program = append(program,
				unix.SockFilter{Code: load, K: uint32(args + 8*r.arg)},
				unix.SockFilter{Code: jump | test, K: r.mask, Jf: 1})
		}
		program = append(program, unix.SockFilter{Code: ret, K: unix.SECCOMP_RET_ERRNO | uint32(r.errno)})
	}
	program = append(program, unix.SockFilter{Code: ret, K: allowed})
	filter := unix.SockFprog{Len: uint16(len(program)), Filter: &program[0]}
	if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
		t.Fatal(err)
	}
	if _, _, errno := unix.Syscall(unix.SYS_SECCOMP, unix.SECCOMP_SET_MODE_FILTER, unix.SECCOMP_FILTER_FLAG_TSYNC, uintptr(unsafe.Pointer(&filter))); errno != 0 {
		t.Fatalf("seccomp: %v", errno)
	}
}

// refused runs the test in a process of its own to which the kernel refuses
// calls, and reports whether this is that process.
func refused(t *testing.T, calls ...refusal) bool {
	t.Helper()
	if testing.Short() {
		t.Skip("skipped with -short: it needs a kernel that refuses calls")
	}
	if !podrig.Alone(t, func(c *exec.Cmd) {
		tmp, err := os.MkdirTemp("", "") // for it may not be able to remove anything
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { os.RemoveAll(tmp) })
		c.Env = append(c.Env, "TMPDIR="+tmp)
	}) {
		return false
	}
	refuse(t, calls...)
	return true
}
