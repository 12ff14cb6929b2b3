package runtimedir

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
)

// A Resolver knows which directory belongs to a pod.
type Resolver interface {
	// RuntimeDir returns the absolute path of the directory that belongs to
	// the pod called name. It exists when RuntimeDir returns, and only the
	// current user may enter it.
	//
	// Two names never share a directory, and the same name always gives the same
	// directory. An error must wrap [ErrInvalidName] if the name cannot be used (and
	// then nothing was created), [ErrInsecure] if what is on the disk cannot be
	// trusted, and [ErrUnavailable] if no directory can be had. Any number of
	// goroutines may call RuntimeDir.
	RuntimeDir(ctx context.Context, name string) (string, error)
}

// ResolverFunc lets an ordinary function be a [Resolver].
type ResolverFunc func(ctx context.Context, name string) (string, error)

// RuntimeDir calls f.
func (f ResolverFunc) RuntimeDir(ctx context.Context, name string) (string, error) {
	return f(ctx, name)
}

// A Baser is a [Resolver] that can name the directory in which it keeps the
// directories of all pods. It is optional. On a Resolver without it, functions that
// enumerate pods fail with [errors.ErrUnsupported], and the launcher keeps the files
// beside a pod's directory in the directory above it.
type Baser interface {
	// Base returns the absolute path of the base, its symbolic links resolved,
	// without creating anything. The error is as for RuntimeDir.
	Base(ctx context.Context) (string, error)
}

var (
	// ErrUnavailable says that no runtime directory can be had: no variable
	// names one, or the disk does not let it be made. The error that wraps it
	// says which place was tried, and wraps the system's own error.
	ErrUnavailable = errors.New("runtime directory unavailable")

	// ErrInsecure says that a directory exists but must not be trusted: it, or its
	// base, belongs to another user, is a symbolic link, or is open to others in a
	// way that could not be changed.
	ErrInsecure = errors.New("runtime directory is not safe to use")

	// ErrInvalidName says that a pod's name cannot be used. See [ValidateName].
	ErrInvalidName = errors.New("invalid pod name")

	// ErrSocketPathTooLong says that a unix socket cannot be bound to a path.
	// See [CheckSocketPath].
	ErrSocketPathTooLong = errors.New("socket path too long")
)

// quote prints a path as it is where that is safe, and quoted otherwise. The backslashes of
// Windows are safe.
func quote(path string) string {
	slashed := filepath.ToSlash(path)
	if q := fmt.Sprintf("%q", slashed); q != `"`+slashed+`"` {
		return fmt.Sprintf("%q", path)
	}
	return path
}
