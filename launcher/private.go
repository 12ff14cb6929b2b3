package launcher

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"

	"github.com/podlaunch/podlaunch/launcher/internal/ownership"
	"github.com/podlaunch/podlaunch/runtimedir"
)

// isPrivate reports whether the pods below dir are private.
func isPrivate(dir runtimedir.Resolver) bool {
	switch dir.(type) {
	case runtimedir.Temp, *runtimedir.Temp:
		return true
	}
	return false
}

// checkNamed returns an error if the pods of l have no names, by which somebody could do
// what is called op.
func (l *Launcher) checkNamed(op string) error {
	if !isPrivate(l.Dir) {
		return nil
	}
	return fmt.Errorf("Launcher.Dir is a %T, and its pods are private: nobody but their launcher has them, so there is no %s; set another Dir: %w", l.Dir, op, errors.ErrUnsupported)
}

// checkPrivate makes sure that a pod of l, whose Spec.Name is name, is private or has a
// name, and not both.
func (l *Launcher) checkPrivate(name string) error {
	private := isPrivate(l.Dir)
	switch {
	case private && name != "":
		return fmt.Errorf("%w: Name is %q, and Launcher.Dir is a %T, whose pods have none; leave Name empty, or set another Dir", ErrInvalidSpec, name, l.Dir)
	case private && l.Reclaim:
		return fmt.Errorf("%w: Launcher.Reclaim is set, and Launcher.Dir is a %T: no earlier pod has had the name of a private one", ErrInvalidSpec, l.Dir)
	case private:
		return nil
	}
	err := runtimedir.ValidateName(name)
	if err != nil && name == "" {
		err = fmt.Errorf("%w; only a private pod has no name (Launcher.Dir: runtimedir.Temp{})", err)
	}
	return err
}

// claimPrivate takes the name of a private pod below base, which it makes if need be:
// the last of the pods that end removes the base. If it fails, what it has made goes.
func (l *Launcher) claimPrivate(ctx context.Context, base, name string) (claim *ownership.Claim, err error) {
	made := ""
	defer func() {
		if claim == nil && made != "" { // also if the Resolver panics
			_ = os.Remove(made)
			_ = os.Remove(base) // others may be in there
		}
	}()
	for tries := 0; tries < 100; tries++ {
		var place *ownership.Place
		if place, err = ownership.Open(base, name); err == nil {
			if claim, err = place.Private(ctx); err == nil {
				return claim, nil
			}
			place.Close()
		}
		if !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, ownership.ErrNotOursAlone) {
			return nil, err
		}
		// The Resolver makes the base, or closes it to others.
		if made, err = l.makeDir(ctx, name); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, err
		}
	}
	return nil, fmt.Errorf("the base directory %q is removed again and again: %w", base, err)
}
