#include "textflag.h"

// func vfork(call, a1, a2, a3 uintptr) (pid, errno uintptr)
//
// The child returns first, and what it calls then overwrites what is on the stack below
// the caller's frame: the address to return to is in a register meanwhile.
TEXT ·vfork(SB), NOSPLIT|NOFRAME, $0-48
	MOVQ call+0(FP), AX
	MOVQ a1+8(FP), DI
	MOVQ a2+16(FP), SI
	MOVQ a3+24(FP), DX
	XORL R10, R10
	XORL R8, R8
	POPQ R12
	SYSCALL
	PUSHQ R12
	MOVQ $0, errno+40(FP)
	CMPQ AX, $-4095
	JCS  done
	NEGQ AX
	MOVQ AX, errno+40(FP)
	XORL AX, AX
done:
	MOVQ AX, pid+32(FP)
	RET
