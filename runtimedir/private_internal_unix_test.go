//go:build unix

package runtimedir

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"
)

// B14, B18: a link that has taken the place of the base after that was resolved,
// or of a directory that was just made, passes on neither a mode nor a pod's
// directory to where it leads, be that elsewhere or beside it.
func TestWhatBecameALink(t *testing.T) {
	root, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	victim := filepath.Join(root, "victim")
	// A mode that we would change if it were ours to change.
	if err := errors.Join(os.Mkdir(victim, 0o700), os.Chmod(victim, 0o777)); err != nil {
		t.Fatal(err)
	}
	for name, target := range map[string]string{"elsewhere": victim, "beside": "victim"} {
		link := filepath.Join(root, name)
		if err := os.Symlink(target, link); err != nil {
			t.Fatal(err)
		}
		if dir, err := makePrivate(t.Context(), link, "pod"); dir != "" || !errors.Is(err, ErrInsecure) {
			t.Errorf("%s: makePrivate returned %q, %v, want %v", name, dir, err, ErrInsecure)
		}
		if err := openUp(link); !errors.Is(err, errNotDir) {
			t.Errorf("%s: openUp returned %v, want %v", name, err, errNotDir)
		}
	}
	if fi, err := os.Stat(victim); err != nil || fi.Mode() != fs.ModeDir|0o777 {
		t.Errorf("the victim is %v, %v", fi, err)
	}
	if entries, err := os.ReadDir(victim); err != nil || len(entries) > 0 {
		t.Errorf("the victim holds %v, %v", entries, err)
	}
}
