//go:build darwin || freebsd

package readiness

import (
	"errors"
	"os"

	"golang.org/x/sys/unix"
)

// awaitExit waits until p has exited, and does not reap it.
func awaitExit(p *os.Process) {
	queue, err := unix.Kqueue()
	if err != nil {
		return
	}
	defer unix.Close(queue)
	event := unix.Kevent_t{Fflags: unix.NOTE_EXIT}
	unix.SetKevent(&event, p.Pid, unix.EVFILT_PROC, unix.EV_ADD|unix.EV_ONESHOT)
	changes, events := []unix.Kevent_t{event}, make([]unix.Kevent_t, 1)
	for {
		_, err := unix.Kevent(queue, changes, events, nil)
		if !errors.Is(err, unix.EINTR) {
			return // ESRCH: it has exited already
		}
	}
}
