#include "textflag.h"

#define SYS_clone 220

// func vfork(flags uintptr, pidfd *int32) (pid, errno uintptr)
//
// The address to return to stays in a register: see the amd64 one.
TEXT ·vfork(SB), NOSPLIT|NOFRAME, $0-32
	MOVD flags+0(FP), R0
	MOVD $0, R1  // the stack: this one
	MOVD pidfd+8(FP), R2
	MOVD $0, R3
	MOVD $0, R4
	MOVD $SYS_clone, R8
	SVC
	MOVD ZR, errno+24(FP)
	CMN  $4095, R0
	BCC  done
	NEG  R0, R0
	MOVD R0, errno+24(FP)
	MOVD ZR, R0
done:
	MOVD R0, pid+16(FP)
	RET
