package goplugin_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// leftOut are go-plugin's tests that a Runner cannot pass. They read the ProcessState of
// the exec.Cmd, which only os.Process.Wait can make, but the Pod waits for the process.
// TestStdin and TestExamples have the same plugins.
const leftOut = "^(TestClient_Stdin|TestClient_SkipHostEnv)$"

// patches make go-plugin's clients use a Runner in place of their own.
var patches = []struct{ file, old, new string }{
	{"client.go", `cmdrunner.NewCmdRunner(c.logger, cmd)`, `goplugin.Plugin{}.Run(c.logger, cmd, "")`},
	{"client.go", `"github.com/hashicorp/go-plugin/internal/cmdrunner"`, `"github.com/hashicorp/go-plugin/internal/cmdrunner"; "github.com/podlaunch/podlaunch/examples/goplugin"`},
	{"client_test.go", `return cmdrunner.NewCmdRunner(l, process)`, `return goplugin.Plugin{}.Run(l, process, tmpDir)`},
	{"client_test.go", `_ string) (runner.Runner, error)`, `tmpDir string) (runner.Runner, error)`},
	{"client_test.go", `"github.com/hashicorp/go-plugin/internal/cmdrunner"`, `"github.com/hashicorp/go-plugin/internal/cmdrunner"; "github.com/podlaunch/podlaunch/examples/goplugin"`},
	{"client_unix_test.go", `cmdrunner.NewCmdRunner(l, process)`, `goplugin.Plugin{}.Run(l, process, tmpDir)`},
	{"client_unix_test.go", `"github.com/hashicorp/go-plugin/internal/cmdrunner"`, `"github.com/podlaunch/podlaunch/examples/goplugin"`},
}

// go-plugin's own tests pass with a Runner in place of go-plugin's.
//
// Those of net/rpc also ask that the plugin has ended gracefully. Without a Runner they
// fail in a third of their runs: the plugin may have ended before its answer was sent.
// So a test that fails is tried again, and has to pass once.
func TestOwnTests(t *testing.T) {
	if testing.Short() {
		t.Skip("it builds and runs go-plugin's own tests, which takes half a minute")
	}
	s := newSuite(t)
	passed, failed := s.run(t, "")
	if len(passed) < 50 {
		t.Fatalf("%d tests have passed, there are more", len(passed))
	}
	for name, output := range failed {
		for range 9 {
			if passed, again := s.run(t, "^"+name+"$"); passed[name] {
				delete(failed, name)
				break
			} else if again[name] != "" {
				output = again[name]
			}
		}
		if _, still := failed[name]; still {
			t.Errorf("%s fails:\n%s", name, output)
		}
	}
	t.Logf("%d tests of go-plugin have passed", len(passed))
}

// A suite is go-plugin's tests, built with patches.
type suite struct{ program, dir string }

// newSuite copies go-plugin, patches it, and builds its tests.
func newSuite(t *testing.T) suite {
	t.Helper()
	dir := t.TempDir()
	own := filepath.Join(dir, "go-plugin")
	original := strings.TrimSpace(command(t, "go", "list", "-m", "-f", "{{.Dir}}", "github.com/hashicorp/go-plugin"))
	if err := os.CopyFS(own, os.DirFS(original)); err != nil {
		t.Fatal(err)
	}
	command(t, "chmod", "-R", "u+w", dir) // the module cache is read-only
	for _, p := range patches {
		path := filepath.Join(own, p.file)
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Contains(text, []byte(p.old)) {
			t.Fatalf("%s does not hold %s any more: look how it makes its runner", p.file, p.old)
		}
		if err := os.WriteFile(path, bytes.ReplaceAll(text, []byte(p.old), []byte(p.new)), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	mod := filepath.Join(dir, "go.mod")
	library, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range []string{"go.mod", "go.sum"} {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, file), text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	command(t, "go", "mod", "edit", "-replace=github.com/podlaunch/podlaunch="+library, "-replace=github.com/hashicorp/go-plugin="+own, mod)
	s := suite{program: filepath.Join(dir, "go-plugin.test"), dir: own} // a test knows that name
	command(t, "go", "test", "-mod=mod", "-modfile="+mod, "-c", "-o", s.program, "github.com/hashicorp/go-plugin")
	return s
}

// run runs the tests that match pattern. It returns the tests that have passed, and the
// output of those that have failed.
func (s suite) run(t *testing.T, pattern string) (passed map[string]bool, failed map[string]string) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "go", "tool", "test2json", s.program, "-test.v=test2json", "-test.timeout=2m", "-test.run="+pattern, "-test.skip="+leftOut)
	cmd.Dir = s.dir
	cmd.Env = append(os.Environ(), "TMPDIR="+shortDir(t))
	out, _ := cmd.Output() // the tests that have failed are in it
	passed, failed = make(map[string]bool), make(map[string]string)
	said := make(map[string]string)
	for d := json.NewDecoder(bytes.NewReader(out)); ; {
		var event struct{ Action, Test, Output string }
		if err := d.Decode(&event); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatalf("%v in what test2json says:\n%s", err, out)
		}
		name, _, isPart := strings.Cut(event.Test, "/")
		said[name] += event.Output
		switch {
		case isPart:
		case name == "" && event.Action == "fail" && len(failed) == 0:
			t.Fatalf("go-plugin's tests have not run to their end:\n%s", said)
		case event.Action == "pass" && name != "":
			passed[name] = true
		case event.Action == "fail" && name != "":
			failed[name] = said[name]
		}
	}
	return passed, failed
}

// command runs a command, and returns its output.
func command(t *testing.T, name string, args ...string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), name, args...)
	cmd.Env = append(os.Environ(), "GOWORK=off")
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, out)
	}
	return string(out)
}
