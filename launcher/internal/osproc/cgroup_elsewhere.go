//go:build !linux

package osproc

import (
	"context"
	"errors"
)

// A Cgroup cannot be had here.
type Cgroup struct{}

// PlanCgroup returns [errors.ErrUnsupported].
func PlanCgroup(string, string) (*Cgroup, error) { return nil, errors.ErrUnsupported }

// FindCgroup finds none.
func FindCgroup(string, string) (*Cgroup, error) { return nil, nil }

// Holds reports false.
func Holds(string, int) (bool, error) { return false, nil }

// IsEnding reports false.
func IsEnding(Identity) bool { return false }

// Path returns "".
func (*Cgroup) Path() string { return "" }

// Make makes nothing.
func (*Cgroup) Make() error { return nil }

// Close closes nothing.
func (*Cgroup) Close() {}

// Left returns nobody.
func (*Cgroup) Left() ([]Identity, error) { return nil, nil }

// Kill ends nobody.
func (*Cgroup) Kill() error { return nil }

// Emptied returns nil.
func (*Cgroup) Emptied(context.Context) <-chan struct{} { return nil }

// Remove removes nothing.
func (*Cgroup) Remove() error { return nil }

// Notes has nothing to say.
func (*Cgroup) Notes() []string { return nil }
