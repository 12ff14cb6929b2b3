//go:build !linux && !windows

package osproc

import (
	"context"
	"errors"
	"syscall"
)

// A Family cannot be found here.
type Family struct{}

// NewFamily returns nil: this system does not show which processes belong to a process.
func NewFamily(Identity, string) *Family { return nil }

// Add does nothing.
func (*Family) Add([]Identity) {}

// Known returns nil: nobody is remembered.
func (*Family) Known() []Identity { return nil }

// SetSince does nothing.
func (*Family) SetSince(Identity, bool) {}

// SetHeirs does nothing.
func (*Family) SetHeirs(func(LockHolder) (bool, error)) {}

// SetLock does nothing.
func (*Family) SetLock(LockFile, int) {}

// Left returns [errors.ErrUnsupported].
func (*Family) Left(context.Context, bool) ([]Identity, error) { return nil, errors.ErrUnsupported }

// Deserted returns [errors.ErrUnsupported].
func (*Family) Deserted(context.Context, bool) (bool, error) { return false, errors.ErrUnsupported }

// Has reports false.
func (*Family) Has(int) bool { return false }

// Kill returns [errors.ErrUnsupported].
func (*Family) Kill(context.Context, bool) ([]Identity, error) { return nil, errors.ErrUnsupported }

// ReapInherited does nothing.
func (*Family) ReapInherited(context.Context) {}

// SignalEach is [Signal] for each.
func SignalEach(ids []Identity, sig syscall.Signal) error {
	var errs []error
	for _, id := range ids {
		errs = append(errs, Signal(id, sig))
	}
	return errors.Join(errs...)
}

// IsInGroup cannot tell.
func IsInGroup(Identity, int) bool { return true }

// HasVariable cannot tell, and says no.
func HasVariable(int, string, string) bool { return false }
