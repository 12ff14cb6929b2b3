#include "textflag.h"

#define SYS_prlimit64 261

// func getrlimit(resource uintptr, l *limit) int
TEXT ·getrlimit(SB), NOSPLIT, $0-24
	MOVD $0, R0
	MOVD resource+0(FP), R1
	MOVD $0, R2
	MOVD l+8(FP), R3
	MOVD $SYS_prlimit64, R8
	SVC
	MOVD R0, ret+16(FP)
	RET
