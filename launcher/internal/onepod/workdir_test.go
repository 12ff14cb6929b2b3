//go:build linux

package onepod_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/podlaunch/podlaunch/launcher/internal/podrig"
)

// W15: List tells that the working directory of a pod was removed, also if another is
// there by now that is called as the kernel calls it then.
func TestWorkDirIsGone(t *testing.T) {
	r := podrig.New(t, podrig.Serve...)
	dir := filepath.Join(t.TempDir(), "caller")
	for _, name := range []string{dir, dir + " (deleted)"} {
		mkdir(t, name)
		spec := podrig.Alice
		spec.Dir = name
		pod := r.Launch(spec)
		mustTellOfWorkDir(t, r, false)
		if err := os.Remove(name); err != nil {
			t.Fatal(err)
		}
		mustTellOfWorkDir(t, r, true)
		mkdir(t, name+" (deleted)")
		mustTellOfWorkDir(t, r, true)
		if err := os.Remove(name + " (deleted)"); err != nil {
			t.Fatal(err)
		}
		if err := pod.Stop(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
}

func mkdir(t *testing.T, path string) {
	t.Helper()
	if err := os.Mkdir(path, 0o700); err != nil {
		t.Fatal(err)
	}
}

// mustTellOfWorkDir fails the test unless List tells of exactly that.
func mustTellOfWorkDir(t *testing.T, r *podrig.Rig, gone bool) {
	t.Helper()
	pods := 0
	for s, err := range r.L.List(t.Context()) {
		pods++
		if got := strings.Join(s.Notes, ""); err != nil || strings.Contains(got, "working directory was removed") != gone {
			t.Errorf("that it is gone is %v: %q, %v", gone, got, err)
		}
	}
	if pods != 1 {
		t.Errorf("%d pods are listed", pods)
	}
}
