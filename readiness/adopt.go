package readiness

import (
	"context"
	"errors"
	"fmt"
)

// An Adopter is a [Probe] for a program that may go to the background: the process that was
// started ends well, and another process, which descends from it, is the pod's first process
// from then on. The probe learns which process that is, and has the launcher adopt it
// ([Kin.Adopt]). It is optional.
//
// With an Adopter in its probe a launch does not fail if the process that was started ends
// with status 0. It waits on, within its time, for a process to adopt.
type Adopter interface {
	// Adopts reports whether the probe, as its fields say, may have a process adopted.
	Adopts() bool
}

// Adopts reports whether p, or a part of it, may have the launcher adopt a process.
func Adopts(p Probe) bool {
	for leaf := range Leaves(p) {
		if a, ok := leaf.(Adopter); ok && a.Adopts() {
			return true
		}
	}
	return false
}

// adopt has the launcher adopt the process pid, which from has named.
func adopt(ctx context.Context, t Target, pid int, from string) error {
	if t.Kin == nil {
		return fmt.Errorf("%s names pid %d, and this launcher cannot adopt it (launcher.Launch can, with launcher.Local on Linux): %w", from, pid, errors.ErrUnsupported)
	}
	if err := t.Kin.Adopt(ctx, pid, from); err != nil {
		return err
	}
	started.Set(t, t.started())
	adopted.Set(t, pid)
	return nil
}
