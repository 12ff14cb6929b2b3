package keeper

import (
	"context"

	"github.com/podlaunch/podlaunch/launcher/internal/osproc"
)

// On Windows no process is needed: a pod is in a job that ends with the last handle of it,
// and only the program that launches the pod has one.

// Check returns nil.
func Check() error { return nil }

// Keep has nothing to do.
func Keep(context.Context, Pod, Logger) error { return nil }

// Know has nothing to do.
func Know(context.Context, string, osproc.Identity, []osproc.Identity) error { return nil }

// Has returns true.
func Has(string) bool { return true }

// Gone has nothing to do.
func Gone(string, bool) {}
