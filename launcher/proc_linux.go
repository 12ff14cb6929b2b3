package launcher

import (
	"fmt"
	"os"
	"strconv"
	"sync"

	"golang.org/x/sys/unix"
)

// inherited returns the highest number of a descriptor that this program has
// inherited from its own parent and would hand on, or 0 if there is none. What
// Go opens is never handed on (O_CLOEXEC), so it is enough to look once; what C
// code opens later without O_CLOEXEC is not seen.
var inherited = sync.OnceValue(func() int {
	const most = 1 << 12 // closing so many takes a child a fraction of a millisecond
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		return 0
	}
	highest := 0
	for _, e := range entries {
		n, err := strconv.Atoi(e.Name())
		if err != nil || n <= 2 || n > most {
			continue
		}
		if flags, err := unix.FcntlInt(uintptr(n), unix.F_GETFD, 0); err == nil && flags&unix.FD_CLOEXEC == 0 {
			highest = max(highest, n)
		}
	}
	return highest
})

// checkArgumentSpace makes sure that the arguments and the environment of c fit
// onto a new process's stack: a quarter of the limit on it, but no more than
// 6 MiB and no less than 128 KiB (execve(2), and bprm_stack_limits in the
// kernel's fs/exec.c). A size just below the limit is left to the kernel.
func checkArgumentSpace(c *Command) error {
	var stack unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_STACK, &stack); err != nil {
		return nil // then the kernel will tell
	}
	limit := max(min(stack.Cur/4, 6<<20), 128<<10)
	args, env := argumentSizes(c)
	if uint64(args)+uint64(env) <= limit {
		return nil
	}
	return fmt.Errorf("%d bytes of arguments and %d bytes of environment do not fit into %d bytes, a quarter of the stack's limit (ulimit -s): %w",
		args, env, limit, unix.E2BIG)
}
