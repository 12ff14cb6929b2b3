package runtimedir_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/podlaunch/podlaunch/runtimedir"
	"github.com/podlaunch/podlaunch/runtimedir/conformance"
)

func TestMain(m *testing.M) { conformance.Main(m) }

// The contract's Func adapter passes on what it is given, both ways.
func TestResolverFunc(t *testing.T) {
	type key struct{}
	wrong := errors.New("no room")
	f := runtimedir.ResolverFunc(func(ctx context.Context, name string) (string, error) {
		return name + ctx.Value(key{}).(string), wrong
	})
	got, err := f.RuntimeDir(context.WithValue(t.Context(), key{}, "-value"), "pod")
	if got != "pod-value" || !errors.Is(err, wrong) {
		t.Errorf("got %q, %v", got, err)
	}
}

// tempDir returns a directory of the test's own, without a symbolic link in
// its path.
func tempDir(t *testing.T) string {
	t.Helper()
	dir, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	return dir
}

// mustBeAbsent fails the test if there is anything at path.
func mustBeAbsent(t *testing.T, path string) {
	t.Helper()
	if _, err := os.Lstat(path); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("%s was touched: %v", path, err)
	}
}

// mustBe fails the test unless err is each of targets.
func mustBe(t *testing.T, err error, targets ...error) {
	t.Helper()
	for _, target := range targets {
		if !errors.Is(err, target) {
			t.Errorf("errors.Is(err, %v) is false for: %v", target, err)
		}
	}
}

// mustSay fails the test unless the message of err holds each of parts.
func mustSay(t *testing.T, err error, parts ...string) {
	t.Helper()
	for _, part := range parts {
		if !strings.Contains(err.Error(), part) {
			t.Errorf("the message lacks %q: %v", part, err)
		}
	}
}
