//go:build unix

package logsource

import "syscall"

// noFollow keeps an open from following a symbolic link to the file.
const noFollow = syscall.O_NOFOLLOW
