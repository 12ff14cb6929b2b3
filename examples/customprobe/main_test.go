package main_test

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/podlaunch/podlaunch/examples/internal/exampletest"
)

// The pod is ready because of the custom probe: it says nothing that the
// default one would understand.
func TestCustomProbe(t *testing.T) {
	base := filepath.Join(t.TempDir(), "run")
	r := exampletest.Run(t, exampletest.Build(t, "."), []string{"INSOMNIA_RUNTIME_DIR=" + base})
	if r.Code != 0 || r.Stderr != "" || !regexp.MustCompile(`^healthy at tcp:127\.0\.0\.1:\d+\n$`).MatchString(r.Stdout) {
		t.Errorf("exit status %d, stderr %q, stdout:\n%s", r.Code, r.Stderr, r.Stdout)
	}
	// What stays is how the launcher knows the name.
	left, err := os.ReadDir(base)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range left {
		if !strings.HasPrefix(e.Name(), ".customprobe.") {
			t.Errorf("the base still holds %v", e)
		}
	}
}

// The example is as short as its purpose asks for.
func TestLength(t *testing.T) {
	src, err := os.ReadFile("main.go")
	if err != nil {
		t.Fatal(err)
	}
	if lines := strings.Count(string(src), "\n"); lines >= 60 {
		t.Errorf("main.go has %d lines, it is meant to have fewer than 60", lines)
	}
}
