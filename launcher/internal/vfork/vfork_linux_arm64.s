#include "textflag.h"

// func vfork(call, a1, a2, a3 uintptr) (pid, errno uintptr)
//
// The address to return to stays in a register: see the amd64 one.
TEXT ·vfork(SB), NOSPLIT|NOFRAME, $0-48
	MOVD call+0(FP), R8
	MOVD a1+8(FP), R0
	MOVD a2+16(FP), R1
	MOVD a3+24(FP), R2
	MOVD $0, R3
	MOVD $0, R4
	SVC
	MOVD ZR, errno+40(FP)
	CMN  $4095, R0
	BCC  done
	NEG  R0, R0
	MOVD R0, errno+40(FP)
	MOVD ZR, R0
done:
	MOVD R0, pid+32(FP)
	RET
