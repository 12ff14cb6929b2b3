package runtimedirtest_test

import (
	"context"
	"fmt"
	"path/filepath"
	"testing"

	"github.com/podlaunch/podlaunch/runtimedir"
	"github.com/podlaunch/podlaunch/runtimedir/runtimedirtest"
)

// Tenant is a Resolver of one's own: the tenant's pods are kept below a
// directory that is called after it.
type Tenant struct{ Root, Name string }

func (t Tenant) dir() runtimedir.Dir {
	return runtimedir.Dir(filepath.Join(t.Root, t.Name))
}

// RuntimeDir implements [runtimedir.Resolver].
func (t Tenant) RuntimeDir(ctx context.Context, name string) (string, error) {
	if err := runtimedir.ValidateName(t.Name); err != nil {
		return "", fmt.Errorf("%w: Tenant.Name: %v", runtimedir.ErrUnavailable, err)
	}
	return t.dir().RuntimeDir(ctx, name)
}

// Base implements [runtimedir.Baser].
func (t Tenant) Base(ctx context.Context) (string, error) { return t.dir().Base(ctx) }

func TestTenant(t *testing.T) {
	runtimedirtest.Test(t, func(t *testing.T) runtimedir.Resolver {
		return Tenant{Root: t.TempDir(), Name: "acme"}
	})
}

// A test of one's own Resolver is one call. A Tenant keeps the pods of each
// tenant apart; TestTenant is in its package's tests.
func ExampleTest() {
	var TestTenant = func(t *testing.T) {
		runtimedirtest.Test(t, func(t *testing.T) runtimedir.Resolver {
			return Tenant{Root: t.TempDir(), Name: "acme"}
		})
	}
	fmt.Printf("%T\n", TestTenant)
	// Output: func(*testing.T)
}

// What a Resolver is tested for.
func ExampleRules() {
	for name, says := range runtimedirtest.Rules() {
		fmt.Printf("%s: %s\n", name, says)
	}
	// Output:
	// exists: The directory exists when RuntimeDir returns, and can be used.
	// absolute: RuntimeDir returns an absolute path.
	// private: Only the current user may enter the directory.
	// narrows: A directory that is there already and that others may enter, if only its group, is closed to them, or refused with ErrInsecure.
	// apart: Two names never share a directory.
	// same: The same name always gives the same directory, in any working directory.
	// keeps: RuntimeDir leaves alone what a directory holds.
	// again: A directory that was removed exists again when RuntimeDir returns: a Resolver has no state of a launch.
	// concurrent: RuntimeDir may be called from any number of goroutines.
	// context: A RuntimeDir that ends because its context is done returns an error that wraps context.Cause(ctx).
	// leaves-nothing: RuntimeDir and Base leave no descriptor and no goroutine behind, also when they fail.
	// invalid-name: A name that ValidateName refuses is refused with an error that wraps ErrInvalidName.
	// invalid-name-clean: Nothing is created for a name that cannot be used.
	// symlink: A symbolic link in the directory's place is refused with ErrInsecure, or replaced; what it leads to is left alone.
	// not-a-directory: Something else in the directory's place is refused with ErrInsecure or ErrUnavailable, or replaced.
	// foreign: A directory that belongs to somebody else is refused with ErrInsecure, or replaced.
	// open-base: When others may write to the directory that holds the pod's, that is taken away, or refused with ErrInsecure.
	// unavailable: When no directory can be had the error wraps ErrUnavailable (or ErrInsecure), the system's own error, and says which place was tried.
	// base-resolved: Base is absolute, its symbolic links resolved.
	// base-holds: Base is always the same, and every pod's directory is in it.
	// base-creates-nothing: Base creates nothing.
	// base-error: An error of Base wraps ErrInsecure or ErrUnavailable.
	// surroundings: What is tested leaves alone what all of a program has in common: its environment and its working directory, and on Linux its umask, its limits, its oom_score_adj and which signals it ignores.
}
