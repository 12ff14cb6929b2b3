//go:build !linux

package osproc

import (
	"errors"
	"fmt"
)

// Proves says whether Prove can prove anything on this system.
const Proves = false

// Prove cannot prove anything.
func Prove(int, func(Identity) error) (Identity, error) {
	return Identity{}, fmt.Errorf("prove which process it is on this system: %w", errors.ErrUnsupported)
}

// IsApart cannot tell, and says no.
func IsApart(int) (bool, error) { return false, nil }
