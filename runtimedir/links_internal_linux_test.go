package runtimedir

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"
)

// A path without links is known by one call, and only that is taken as it is.
func TestHasNoLinks(t *testing.T) {
	if fd, err := unix.Openat2(unix.AT_FDCWD, "/", &unix.OpenHow{Flags: unix.O_PATH | unix.O_CLOEXEC}); err != nil {
		t.Skipf("openat2: %v", err)
	} else {
		unix.Close(fd)
	}
	root, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	at := func(elems ...string) string { return filepath.Join(append([]string{root}, elems...)...) }
	err = errors.Join(os.MkdirAll(at("dir", "below"), 0o700), os.WriteFile(at("file"), nil, 0o600),
		os.Symlink("dir", at("link")), os.Symlink("nowhere", at("broken")), os.Symlink("loop", at("loop")))
	if err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]bool{
		"/":                   true,
		root:                  true,
		at("dir", "below"):    true,
		at("file"):            true,
		at("file", "below"):   false,
		at("dir", "missing"):  false,
		at("link"):            false,
		at("link", "below"):   false,
		at("link", "missing"): false,
		at("broken"):          false,
		at("loop", "below"):   false,
		"/proc/self/cwd":      false,
	} {
		if got := hasNoLinks(path); got != want {
			t.Errorf("%s: %v, want %v", path, got, want)
		}
		if resolved, err := resolve(path); want && (resolved != path || err != nil) {
			t.Errorf("%s: resolve returned %q, %v", path, resolved, err)
		}
	}
}
