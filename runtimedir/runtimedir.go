package runtimedir

import (
	"context"
	"errors"
	"fmt"
)

// A Resolver knows which directory belongs to a pod.
type Resolver interface {
	// RuntimeDir returns the absolute path of the directory that belongs to
	// the pod called name. It exists when RuntimeDir returns, and only the
	// current user may enter it.
	//
	// Two names never share a directory, and the same name always gives the
	// same one. An error must wrap [ErrInvalidName] if the name cannot be used
	// (and then nothing was created), [ErrInsecure] if what is on the disk
	// cannot be trusted, and [ErrUnavailable] if no directory can be had.
	// RuntimeDir may be called from any number of goroutines.
	RuntimeDir(ctx context.Context, name string) (string, error)
}

// ResolverFunc lets an ordinary function be a [Resolver].
type ResolverFunc func(ctx context.Context, name string) (string, error)

// RuntimeDir calls f.
func (f ResolverFunc) RuntimeDir(ctx context.Context, name string) (string, error) {
	return f(ctx, name)
}

// A Baser is a [Resolver] that can name the directory in which it keeps the
// directories of all pods. It is optional: what needs to enumerate pods fails with
// [errors.ErrUnsupported] on a Resolver without it, and what is kept beside a pod's
// directory is in the directory above that.
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

	// ErrInsecure says that a directory exists but must not be trusted: it, or
	// its base, is somebody else's, a symbolic link, or open to others in a way
	// that could not be taken away.
	ErrInsecure = errors.New("runtime directory is not safe to use")

	// ErrInvalidName says that a pod's name cannot be used. See [ValidateName].
	ErrInvalidName = errors.New("invalid pod name")

	// ErrSocketPathTooLong says that a unix socket cannot be bound to a path.
	// See [CheckSocketPath].
	ErrSocketPathTooLong = errors.New("socket path too long")
)

// quote prints a path as it is where that is safe, and quoted otherwise.
func quote(path string) string {
	if q := fmt.Sprintf("%q", path); q != `"`+path+`"` {
		return q
	}
	return path
}
