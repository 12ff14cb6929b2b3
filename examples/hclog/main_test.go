package main_test

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/podlaunch/podlaunch/examples/internal/exampletest"
)

// Each line of the pod comes out once, in order and with its level: what it said
// before it was ready, what it said afterwards, and its last word. Not the ready
// line.
func TestHclog(t *testing.T) {
	base := filepath.Join(t.TempDir(), "run")
	r := exampletest.Run(t, exampletest.Build(t, "."), []string{"INSOMNIA_RUNTIME_DIR=" + base})
	got := regexp.MustCompile(`timestamp=\d\d:\d\d `).ReplaceAllString(r.Stdout, "timestamp=NOW ")
	const want = `[WARN]  alice: the cache is cold: module=store timestamp=NOW entries=0
[DEBUG] alice: store: open: path=/var/lib/store
[INFO]  alice: a request: via=logfmt
[ERROR] alice: disk is full
[INFO]  alice: a last word, of no level
`
	if r.Code != 0 || r.Stderr != "" || got != want {
		t.Errorf("exit status %d, stderr %q, stdout:\n%swant\n%s", r.Code, r.Stderr, got, want)
	}
	if _, err := os.Stat(filepath.Join(base, "alice")); !os.IsNotExist(err) {
		t.Errorf("the pod's directory is still there: %v", err)
	}
}

// The example is as short as its purpose asks for.
func TestLength(t *testing.T) {
	src, err := os.ReadFile("main.go")
	if err != nil {
		t.Fatal(err)
	}
	if lines := strings.Count(string(src), "\n"); lines >= 80 {
		t.Errorf("main.go has %d lines, it is meant to have fewer than 80", lines)
	}
}
