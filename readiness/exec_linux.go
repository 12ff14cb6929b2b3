package readiness

import (
	"errors"
	"os"

	"golang.org/x/sys/unix"
)

// awaitExit waits until p has exited, and does not reap it.
func awaitExit(p *os.Process) {
	for {
		err := unix.Waitid(unix.P_PID, p.Pid, nil, unix.WEXITED|unix.WNOWAIT, nil)
		if !errors.Is(err, unix.EINTR) {
			return
		}
	}
}
