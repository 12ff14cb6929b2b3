package osproc

import (
	"fmt"

	"golang.org/x/sys/unix"
)

// CheckArgumentSpace makes sure that the arguments and the environment of a
// [Command] fit onto a new process's stack: a quarter of the limit on it, but no
// more than 6 MiB and no less than 128 KiB (execve(2), and bprm_stack_limits in the
// kernel's fs/exec.c). A size just below the limit is left to the kernel. The error
// wraps E2BIG. Other systems than Linux find out when they start the process.
func CheckArgumentSpace(path string, args, env []string) error {
	const least = 128 << 10
	argBytes, envBytes := argumentSizes(path, args, env)
	size := uint64(argBytes) + uint64(envBytes)
	if size <= least {
		return nil
	}
	var stack unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_STACK, &stack); err != nil {
		return nil // then the kernel will tell
	}
	limit := max(min(stack.Cur/4, 6<<20), least)
	if size <= limit {
		return nil
	}
	return fmt.Errorf("%d bytes of arguments and %d bytes of environment do not fit into %d bytes, a quarter of the stack's limit (ulimit -s): %w",
		argBytes, envBytes, limit, unix.E2BIG)
}
