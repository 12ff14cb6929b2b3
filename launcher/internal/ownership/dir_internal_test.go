//go:build unix

package ownership

import (
	"errors"
	"os"
	"path/filepath"
	"runtime/debug"
	"testing"

	"github.com/podlaunch/podlaunch/runtimedir"
)

// B18: openRoot refuses a directory that was swapped between the look and the opening. It
// makes no difference whether a link to a directory beside it, a link that leads out, or
// another directory is in its place. openRoot leaves no descriptor open.
func TestSwapBeforeOpening(t *testing.T) {
	defer debug.SetGCPercent(debug.SetGCPercent(-1)) // which would close an os.Root
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
		there, err := anywhere.lstat(path)
		if err := errors.Join(err, os.Rename(path, path+".away"), swap(path)); err != nil {
			t.Fatal(err)
		}
		before := openDescriptors(t)
		root, err := openRoot(path, there)
		if after := openDescriptors(t); after > before {
			t.Errorf("%s: %d descriptors stay open", what, after-before)
		}
		if root != nil || err == nil {
			t.Errorf("%s: openRoot returned %v, %v", what, root, err)
		}
		if !errors.Is(err, runtimedir.ErrInsecure) {
			t.Errorf("%s: the error is %v, want %v", what, err, runtimedir.ErrInsecure)
		}
	}
}

// openDescriptors returns how many descriptors are open.
func openDescriptors(t *testing.T) int {
	t.Helper()
	fds, err := os.ReadDir("/dev/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(fds)
}

// A file is known by its device and its number.
func TestSameFile(t *testing.T) {
	s := status{dev: 1, ino: 2}
	for other, want := range map[status]bool{{dev: 1, ino: 2, size: 3}: true, {dev: 2, ino: 2}: false, {dev: 1, ino: 1}: false} {
		if got := s.same(other); got != want {
			t.Errorf("%+v and %+v are one file: %v, want %v", s, other, got, want)
		}
	}
}
