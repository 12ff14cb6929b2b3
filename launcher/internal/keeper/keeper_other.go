//go:build !linux && !windows

package keeper

import (
	"context"
	"errors"
	"fmt"

	"github.com/podlaunch/podlaunch/launcher/internal/osproc"
)

// Check returns [errors.ErrUnsupported]: who belongs to a pod cannot be told here.
func Check() error {
	return fmt.Errorf("keep a pod on this system: %w", errors.ErrUnsupported)
}

// Keep returns the error of Check.
func Keep(context.Context, Pod, Logger) error { return Check() }

// Know returns the error of Check.
func Know(context.Context, string, osproc.Identity, []osproc.Identity) error { return Check() }

// Has returns true.
func Has(string) bool { return true }

// Gone does nothing.
func Gone(string, bool) {}
