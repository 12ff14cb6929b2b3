//go:build linux || darwin || freebsd

package docs_test

import (
	"os"
	"os/exec"
	"strings"
	"testing"
)

// protocolLines returns the indented blocks of docs/protocol.md that begin with begins.
func protocolLines(t *testing.T, begins string) (lines []string) {
	t.Helper()
	for _, s := range snippetsOf("docs/protocol.md", read(t, "protocol.md")) {
		if s.language == "" && strings.HasPrefix(s.text, begins) {
			lines = append(lines, strings.Split(strings.TrimSuffix(s.text, "\n"), "\n")...)
		}
	}
	if len(lines) != 3 {
		t.Fatalf("the page has the lines %q, want 3 that begin with %s", lines, begins)
	}
	return lines
}

// The lines whose form docs/protocol.md shows are taken for what they stand for.
func TestFormsOfTheProtocol(t *testing.T) {
	forms := protocolLines(t, "INSOMNIA-")
	for i, want := range []string{"ready at `/run/a/SOCKET`", "failed: `REASON`", "status: `TEXT`"} {
		line := strings.NewReplacer(" <tab> ", "\t", " <newline>", "\n", "NAME", "alice", "SOCKET", "/run/a/SOCKET").Replace(forms[i])
		if got := taken(t, line); got != want {
			t.Errorf("%s is taken for %s, want %s", forms[i], got, want)
		}
	}
}

// What docs/protocol.md writes in shell is taken for what it says.
func TestShellOfTheProtocol(t *testing.T) {
	scripts := protocolLines(t, "printf")
	for i, want := range []string{"ready at `/run/a/sock`", "failed: `the model is missing`", "status: `loading, 40 %`"} {
		cmd := exec.Command("/bin/sh", "-euc", scripts[i])
		cmd.Env = append(os.Environ(), "name=alice", "socket=/run/a/sock")
		written, err := cmd.CombinedOutput()
		if err != nil {
			t.Errorf("%s: %v", scripts[i], err)
		} else if got := taken(t, string(written)); got != want {
			t.Errorf("%s is taken for %s, want %s", scripts[i], got, want)
		}
	}
}
