//go:build linux

package ownership_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/podlaunch/podlaunch/launcher/internal/ownership"
	"github.com/podlaunch/podlaunch/runtimedir"
)

// B12, B13, B14: a base to which others may write, or that is another user's, or
// in whose place there is a link by now, has no locks made in it, and nothing in
// it is believed.
func TestClaimNeedsABaseOfOurs(t *testing.T) {
	refused := func(t *testing.T, s *scene) {
		t.Helper()
		if claim, err := s.claim(t.Context()); claim != nil || !errors.Is(err, runtimedir.ErrInsecure) {
			t.Errorf("Claim returned %v, %v, want %v", claim, err, runtimedir.ErrInsecure)
		}
		if entries, err := os.ReadDir(s.base); err != nil || len(entries) > 0 {
			t.Errorf("there are %v, %v", entries, err)
		}
	}
	for _, mode := range []fs.FileMode{0o777, 0o770, 0o702, fs.ModeSticky | 0o777} {
		t.Run(mode.String(), func(t *testing.T) {
			s := newScene(t)
			if err := os.Chmod(s.base, mode); err != nil {
				t.Fatal(err)
			}
			refused(t, s)
		})
	}
	t.Run("of another user", func(t *testing.T) {
		if os.Geteuid() != 0 {
			t.Skip("only root can give a directory away")
		}
		s := newScene(t)
		if err := os.Chown(s.base, 65534, -1); err != nil {
			t.Fatal(err)
		}
		refused(t, s)
	})
	t.Run("symbolic link", func(t *testing.T) {
		s := newScene(t)
		link := filepath.Join(t.TempDir(), "link")
		if err := os.Symlink(s.base, link); err != nil {
			t.Fatal(err)
		}
		if p, err := ownership.Open(link, "alice"); p != nil || !errors.Is(err, runtimedir.ErrInsecure) {
			t.Errorf("Open returned %v, %v, want %v", p, err, runtimedir.ErrInsecure)
		}
	})
}

// B14: the directory of a pod is opened below the base, and what is no directory
// is not.
func TestOpenDir(t *testing.T) {
	s := newScene(t)
	c := s.mustClaim()
	defer c.Settle()
	outside := t.TempDir()
	for what, plant := range map[string]func(path string) error{
		"link":     func(path string) error { return os.Symlink(outside, path) },
		"sibling":  func(path string) error { return os.Symlink(".", path) },
		"dangling": func(path string) error { return os.Symlink("missing", path) },
		"file":     func(path string) error { return os.WriteFile(path, nil, 0o600) },
		"fifo":     func(path string) error { return unix.Mkfifo(path, 0o600) },
		"socket":   func(path string) error { return unix.Mknod(path, unix.S_IFSOCK|0o600, 0) },
	} {
		for _, dir := range []string{s.base, outside} {
			path := filepath.Join(dir, what)
			if err := plant(path); err != nil {
				t.Fatal(err)
			}
			if root, err := c.OpenDir(path); root != nil || !errors.Is(err, runtimedir.ErrInsecure) {
				t.Errorf("%s: OpenDir returned %v, %v", path, root, err)
			}
		}
	}
	if _, err := c.OpenDir(filepath.Join(s.base, "missing")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("of what is not there OpenDir returned %v", err)
	}
	for _, dir := range []string{s.base, outside} {
		path := filepath.Join(dir, "good")
		if err := os.Mkdir(path, 0o700); err != nil {
			t.Fatal(err)
		}
		root, err := c.OpenDir(path)
		if err != nil {
			t.Fatal(err)
		}
		if err := root.WriteFile("file", nil, 0o600); err != nil {
			t.Error(err)
		}
		root.Close()
		if _, err := os.Lstat(filepath.Join(path, "file")); err != nil {
			t.Error(err)
		}
	}
}

// B14: a base that was put in the place of the one in which the name was claimed is
// noticed, and its directory is not the pod's.
func TestBaseThatWasReplaced(t *testing.T) {
	base := filepath.Join(t.TempDir(), "base")
	if err := os.Mkdir(base, 0o700); err != nil {
		t.Fatal(err)
	}
	s := &scene{t, base}
	c := s.mustClaim()
	defer settle(c)
	if err := c.CheckBase(); err != nil {
		t.Error(err)
	}
	dir := filepath.Join(base, "alice")
	if err := errors.Join(os.Rename(base, base+".away"), os.Mkdir(base, 0o700), os.Mkdir(dir, 0o700)); err != nil {
		t.Fatal(err)
	}
	if err := c.CheckBase(); !errors.Is(err, runtimedir.ErrInsecure) {
		t.Errorf("CheckBase returned %v, want %v", err, runtimedir.ErrInsecure)
	}
	if root, err := c.OpenDir(dir); root != nil || !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("OpenDir returned %v, %v, want %v", root, err, fs.ErrNotExist)
	}
}
