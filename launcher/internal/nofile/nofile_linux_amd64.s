#include "textflag.h"

#define SYS_prlimit64 302

// func getrlimit(resource uintptr, l *limit) int
TEXT ·getrlimit(SB), NOSPLIT, $0-24
	MOVL $0, DI
	MOVQ resource+0(FP), SI
	MOVL $0, DX
	MOVQ l+8(FP), R10
	MOVL $SYS_prlimit64, AX
	SYSCALL
	MOVQ AX, ret+16(FP)
	RET
