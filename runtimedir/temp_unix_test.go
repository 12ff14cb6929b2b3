//go:build unix

package runtimedir_test

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/podlaunch/podlaunch/runtimedir"
	"github.com/podlaunch/podlaunch/runtimedir/runtimedirtest"
)

// Temp keeps the contract of every Resolver, wherever its base is.
func TestTempConforms(t *testing.T) {
	for _, variable := range []string{"XDG_RUNTIME_DIR", "TMPDIR"} {
		t.Run(variable, func(t *testing.T) {
			runtimedirtest.Test(t, func(t *testing.T) runtimedir.Resolver {
				t.Setenv("XDG_RUNTIME_DIR", "")
				t.Setenv(variable, tempDir(t))
				return runtimedir.Temp{}
			})
		})
	}
}

// The session's own directory comes first, if there is one. What is shared with other
// users has a base for each of them. Base makes nothing.
func TestTempBase(t *testing.T) {
	session, shared := tempDir(t), tempDir(t)
	inShared := filepath.Join(shared, fmt.Sprintf("podlaunch-%d", os.Geteuid()))
	for _, c := range []struct{ name, session, want string }{
		{"both", session, filepath.Join(session, "podlaunch")},
		{"no session", "", inShared},
		{"a session that is over", filepath.Join(session, "gone"), inShared},
		{"a relative one", "run", inShared},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Setenv("XDG_RUNTIME_DIR", c.session)
			t.Setenv("TMPDIR", shared)
			base, err := runtimedir.Temp{}.Base(t.Context())
			if err != nil || base != c.want {
				t.Errorf("Base is %q, %v, want %q", base, err, c.want)
			}
			mustBeAbsent(t, c.want)
		})
	}
}

// A relative $TMPDIR would move with the caller.
func TestTempIsNotRelative(t *testing.T) {
	t.Setenv("XDG_RUNTIME_DIR", "")
	t.Setenv("TMPDIR", "tmp")
	_, err := runtimedir.Temp{}.RuntimeDir(t.Context(), "pod")
	if err == nil {
		t.Fatal("it has a directory")
	}
	mustBe(t, err, runtimedir.ErrUnavailable)
	mustSay(t, err, `"tmp"`, "$TMPDIR")
}
