//go:build unix

package ownership

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"github.com/podlaunch/podlaunch/runtimedir"
)

// B18: a directory that is swapped between the look and the opening is refused,
// be it for a link beside it, one that leads out, or another directory; and it
// is left to nobody.
func TestSwapBeforeOpening(t *testing.T) {
	outside := t.TempDir()
	for what, swap := range map[string]func(path string) error{
		"link beside":       func(path string) error { return os.Symlink("bob", path) },
		"link out":          func(path string) error { return os.Symlink(outside, path) },
		"link to itself":    func(path string) error { return os.Symlink("alice", path) },
		"another directory": func(path string) error { return os.Mkdir(path, 0o700) },
		"file":              func(path string) error { return os.WriteFile(path, nil, 0o600) },
	} {
		base := t.TempDir()
		path := filepath.Join(base, "alice")
		if err := errors.Join(os.Mkdir(path, 0o700), os.Mkdir(filepath.Join(base, "bob"), 0o700)); err != nil {
			t.Fatal(err)
		}
		parent, err := os.OpenRoot(base)
		if err != nil {
			t.Fatal(err)
		}
		defer parent.Close()
		lookAndSwap := func(name string) (fs.FileInfo, error) {
			fi, err := parent.Lstat(name)
			return fi, errors.Join(err, os.Rename(path, path+".away"), swap(path))
		}
		root, _, err := openDir("alice", lookAndSwap, parent.OpenRoot)
		if root != nil || err == nil {
			t.Errorf("%s: openDir returned %v, %v", what, root, err)
		}
		// Package os has an error of its own for a file, which does not tell what it is.
		if !errors.Is(err, runtimedir.ErrInsecure) {
			t.Errorf("%s: the error is %v, want %v", what, err, runtimedir.ErrInsecure)
		}
	}
}
