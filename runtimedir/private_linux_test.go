package runtimedir_test

import (
	"os"
	"path/filepath"
	"runtime/debug"
	"testing"

	"github.com/podlaunch/podlaunch/runtimedir"
)

// I1: no call leaves a descriptor open, whether it succeeds or fails, and
// wherever it fails.
func TestNoDescriptorLeft(t *testing.T) {
	// What is left open must not be closed by the collector before it is seen.
	defer debug.SetGCPercent(debug.SetGCPercent(-1))
	base := mkdir(t, 0o700, tempDir(t), "base")
	if err := os.WriteFile(filepath.Join(base, "file"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	shared := mkdir(t, 0o777|os.ModeSticky, base, "shared")
	for _, c := range []struct {
		base, name string
		ok         bool
	}{
		{base, "pod", true},
		{base, "file", false},
		{base, "a/b", false},
		{shared, "pod", false},
		{filepath.Join(base, "file"), "pod", false},
	} {
		before := descriptors(t)
		for range 5 {
			if _, err := runtimedir.Dir(c.base).RuntimeDir(t.Context(), c.name); (err == nil) != c.ok {
				t.Errorf("%s, %q: %v", c.base, c.name, err)
			}
		}
		if after := descriptors(t); after != before {
			t.Errorf("%s, %q: %d descriptors were open before, %d are now", c.base, c.name, before, after)
		}
	}
}

// Two names never share a directory, not even where they differ in nothing but
// case, a space more, or how a character is composed.
func TestNamesDoNotShare(t *testing.T) {
	base := tempDir(t)
	names := []string{"a", "A", "a a", "a  a", "é", "e\u0301"}
	for _, name := range names {
		dir, err := runtimedir.Dir(base).RuntimeDir(t.Context(), name)
		if err != nil {
			t.Fatal(err)
		}
		// A directory that is there already would not be new.
		if err := os.Mkdir(filepath.Join(dir, "mine"), 0o700); err != nil {
			t.Errorf("%q: %v", name, err)
		}
	}
	if entries, err := os.ReadDir(base); err != nil || len(entries) != len(names) {
		t.Errorf("%d names have %d directories, %v", len(names), len(entries), err)
	}
}

// descriptors counts what this process has open.
func descriptors(t *testing.T) int {
	t.Helper()
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(entries)
}
