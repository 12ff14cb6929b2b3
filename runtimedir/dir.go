package runtimedir

import (
	"context"
	"fmt"
	"path/filepath"
)

// Dir is a fixed base directory: the pod called name gets name below it. It
// must be an absolute path; it is created when it is first needed. The same
// checks hold as for [User].
type Dir string

var (
	_ Resolver = Dir("")
	_ Baser    = Dir("")
)

// RuntimeDir implements [Resolver].
func (d Dir) RuntimeDir(ctx context.Context, name string) (string, error) {
	if err := ValidateName(name); err != nil {
		return "", err
	}
	base, err := d.Base(ctx)
	if err != nil {
		return "", err
	}
	return makePrivate(ctx, base, name)
}

// Base implements [Baser].
func (d Dir) Base(context.Context) (string, error) {
	if !filepath.IsAbs(string(d)) {
		return "", fmt.Errorf("%w: the base directory is %q: it must be an absolute path", ErrUnavailable, string(d))
	}
	return resolve(filepath.Clean(string(d)))
}
