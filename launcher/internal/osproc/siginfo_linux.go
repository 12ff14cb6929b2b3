package osproc

import (
	"runtime"
	"strings"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// A siginfo is the part of siginfo_t that waitid(2) fills in.
type siginfo struct {
	signo int32
	code  [2]int32       // si_errno and si_code; the other way round on MIPS
	_     [is64Bit]int32 // padding
	pid   int32          // 0: there was nothing to report
	_     uint32         // uid
	stat  int32          // exit status, or the number of a signal
	_     [26 - is64Bit]int32
}

const is64Bit = ^uintptr(0) >> 63

// Values of si_code for SIGCHLD (asm-generic/siginfo.h).
const (
	cldExited = 1
	cldDumped = 3
)

func (s *siginfo) exit() Exit {
	code := s.code[1]
	if strings.HasPrefix(runtime.GOARCH, "mips") {
		code = s.code[0]
	}
	if code == cldExited {
		return Exit{Code: int(s.stat), Known: true}
	}
	return Exit{Signal: syscall.Signal(s.stat), CoreDumped: code == cldDumped, Known: true}
}

var _ [unsafe.Sizeof(unix.Siginfo{})]byte = [unsafe.Sizeof(siginfo{})]byte{}
