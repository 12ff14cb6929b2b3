package launcher

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
)

// A program that may not be executed although its mode has a right to that says what that may
// mean: on a mount with the option noexec nothing may be executed.
func TestNotExecutableDespiteItsMode(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("a mode has no right to execute there")
	}
	for mode, hint := range map[os.FileMode]bool{0o755: true, 0o644: false} {
		path := filepath.Join(t.TempDir(), "pod")
		if err := os.WriteFile(path, nil, mode); err != nil {
			t.Fatal(err)
		}
		var e NotFoundError
		e.add(path, &fs.PathError{Op: "exec", Path: path, Err: fs.ErrPermission})
		if got := strings.Contains(e.Error(), "mounted noexec"); got != hint || !errors.Is(&e.Tried[0], fs.ErrPermission) {
			t.Errorf("mode %v: %v", mode, &e)
		}
	}
}
