package runtimedirtest

import (
	"errors"
	"fmt"
	"os"

	"github.com/podlaunch/podlaunch/runtimedir/conformance"
)

// leavesNothing minds no error but those of calls that have to go well.
func leavesNothing(s *subject) error {
	n := 0
	for _, calls := range []struct {
		of string
		do func() error
	}{
		{"RuntimeDir", func() error {
			n++
			_, err := s.runtimeDir(fmt.Sprintf("web%d", n))
			return err
		}},
		{"RuntimeDir with a name that cannot be used", func() error {
			s.resolve(s.ctx, "../web")
			return nil
		}},
		{"Base", func() error {
			s.base()
			return nil
		}},
		{"RuntimeDir with a symbolic link in the directory's place", s.resolveLink},
	} {
		err := conformance.Leaves(conformance.Soon, conformance.Often(), calls.do)
		if errors.As(err, new(conformance.Inapplicable)) {
			return nil // there are no links, and the rest holds
		}
		if err != nil {
			return fmt.Errorf("%s: %w", calls.of, err)
		}
	}
	return nil
}

// resolveLink calls RuntimeDir with a symbolic link in the directory's place.
func (s *subject) resolveLink() error {
	dir, err := s.runtimeDir("web")
	if err != nil {
		return err
	}
	if err := os.RemoveAll(dir); err != nil {
		return err
	}
	if err := link(s.dir, dir); err != nil {
		return err
	}
	s.resolve(s.ctx, "web")
	return os.RemoveAll(dir)
}
