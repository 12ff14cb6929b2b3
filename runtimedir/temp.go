package runtimedir

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
)

// Temp is for private pods: those that nobody looks up by a name. A launch with it and
// an empty name draws a name at random, and the pod's directory goes with the pod. The
// zero value is ready to use.
//
// The base is $XDG_RUNTIME_DIR/podlaunch, if that variable leads to a directory that is
// not another user's (root's counts as ours), and else podlaunch-UID below $TMPDIR, or below
// /tmp. On Windows the second place is podlaunch in the user's directory for temporary files. Each call reads the environment as it is
// then. The same checks hold as for [User]: another user who has made /tmp/podlaunch-UID
// first keeps this one from it, with [ErrInsecure]. The path is short, for it has to leave
// room for a socket; a long $TMPDIR may not.
//
// As a [Resolver] it is like any other: one name has one directory, and RuntimeDir
// removes nothing.
type Temp struct{}

var (
	_ Resolver = Temp{}
	_ Baser    = Temp{}
)

// RuntimeDir implements [Resolver].
func (t Temp) RuntimeDir(ctx context.Context, name string) (string, error) {
	if err := ValidateName(name); err != nil {
		return "", err
	}
	base, err := t.Base(ctx)
	if err != nil {
		return "", err
	}
	return makePrivate(ctx, base, name)
}

// Base implements [Baser].
func (Temp) Base(context.Context) (string, error) {
	if dir := os.Getenv("XDG_RUNTIME_DIR"); filepath.IsAbs(dir) {
		if fi, err := os.Stat(dir); err == nil && fi.IsDir() && !isOtherUsers(dir) {
			return resolve(filepath.Join(dir, "podlaunch"))
		}
	}
	dir := os.TempDir()
	if !filepath.IsAbs(dir) {
		return "", fmt.Errorf("%w: the directory for temporary files is %q: set $%s to an absolute path", ErrUnavailable, dir, tempVariable)
	}
	return resolve(filepath.Join(dir, tempBase()))
}
