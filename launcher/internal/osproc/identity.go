package osproc

import (
	"fmt"
)

// An Identity is what tells one process from every other, past and to come. A
// pid alone does not: it is used again.
type Identity struct {
	PID          int    `json:"pid"`
	Start        uint64 `json:"start"`        // in kernel ticks since boot; clock and time namespace do not matter; 0: unknown
	Boot         string `json:"boot"`         // of the machine; never the same twice
	PIDNamespace string `json:"pidNamespace"` // in which PID is meant; see findOffset
}

// Identify returns the Identity of a process. The error is ErrGone, or says why Identify
// cannot tell; then it never wraps fs.ErrNotExist. It wraps [errors.ErrUnsupported] if
// /proc is missing, or hides what a proof needs.
func Identify(pid int) (Identity, error) {
	boot, namespace, err := here()
	if err != nil {
		return Identity{}, err
	}
	start, _, err := lifeOf(pid)
	if err != nil {
		return Identity{}, err
	}
	return Identity{PID: pid, Start: start, Boot: boot, PIDNamespace: namespace}, nil
}

// IsOfThisBoot reports whether the process was started since the machine was. It reports
// true if it cannot tell.
func (id Identity) IsOfThisBoot() bool {
	boot, _, err := here()
	return err != nil || id.Boot == boot
}

// IsFromHere reports whether the Identity is of our pid namespace. It reports true if it cannot
// tell.
func (id Identity) IsFromHere() bool {
	_, namespace, err := here()
	return err != nil || id.PIDNamespace == namespace
}

// Check returns nil if the process with the Identity is alive, ErrGone, ErrStranger, or an
// error that says why Check cannot tell, as [Identify] does.
func (id Identity) Check() error {
	boot, namespace, err := here()
	switch {
	case err != nil:
		return err
	case id.PID <= 0:
		return fmt.Errorf("%w: %d is nobody's pid", ErrStranger, id.PID)
	case id.Boot != boot:
		return ErrRestarted
	case id.PIDNamespace != namespace:
		return fmt.Errorf("%w: %d in %s, and we are in %s", ErrElsewhere, id.PID, id.PIDNamespace, namespace)
	}
	if vanished(id.PID) {
		return ErrGone // as of most records that are looked at
	}
	start, dead, err := lifeOf(id.PID)
	switch {
	case err != nil:
		return err
	case start != id.Start:
		return fmt.Errorf("%w: pid %d started at tick %d, not %d", ErrStranger, id.PID, start, id.Start)
	case dead:
		return ErrGone
	}
	return nil
}
