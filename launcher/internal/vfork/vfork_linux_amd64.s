#include "textflag.h"

#define SYS_clone 56

// func vfork(flags uintptr, pidfd *int32) (pid, errno uintptr)
//
// The child returns first, and what it calls then overwrites what is on the stack below
// the caller's frame: the address to return to is in a register meanwhile.
TEXT ·vfork(SB), NOSPLIT|NOFRAME, $0-32
	MOVQ flags+0(FP), DI
	MOVQ pidfd+8(FP), DX
	XORL SI, SI  // the stack: this one
	XORL R10, R10
	XORL R8, R8
	MOVL $SYS_clone, AX
	POPQ R12
	SYSCALL
	PUSHQ R12
	MOVQ $0, errno+24(FP)
	CMPQ AX, $-4095
	JCS  done
	NEGQ AX
	MOVQ AX, errno+24(FP)
	XORL AX, AX
done:
	MOVQ AX, pid+16(FP)
	RET
