package osproc

import (
	"fmt"

	"golang.org/x/sys/windows"
)

// openIdentity opens the process with the Identity, with the rights in access besides.
// No other process gets its number as long as the handle is open. The error is as of
// Identity.Check; if it is ErrGone because the process has ended, nothing is open.
func openIdentity(id Identity, access uint32) (windows.Handle, error) {
	if id.Boot != timeless {
		return 0, fmt.Errorf("%w: %d on another system", ErrElsewhere, id.PID)
	}
	h, err := openProcess(id.PID, access)
	if err != nil {
		return 0, err
	}
	start, err := creationOf(h)
	switch {
	case err != nil:
	case start != id.Start:
		err = fmt.Errorf("%w: pid %d was created at %d, not %d", ErrStranger, id.PID, start, id.Start)
	case hasEnded(h):
		err = ErrGone
	}
	if err != nil {
		windows.CloseHandle(h)
		return 0, err
	}
	return h, nil
}

// identityOf returns the Identity of the process that h is of.
func identityOf(pid int, h windows.Handle) (Identity, error) {
	start, err := creationOf(h)
	return Identity{PID: pid, Start: start, Boot: timeless}, err
}
