//go:build linux && !(386 || arm || mips || mipsle)

package crashpoint

import "golang.org/x/sys/unix"

// statAt is fstatat(2), by which Go looks at a file.
const statAt = unix.SYS_NEWFSTATAT
