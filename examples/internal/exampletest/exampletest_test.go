package exampletest

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// What Run looks for it must find: a process that was started with its mark,
// one that only has its directory in its arguments, and a file.
func TestLeftBehind(t *testing.T) {
	home := t.TempDir()
	for name, cmd := range map[string]*exec.Cmd{
		"by its environment": {Path: "/bin/sleep", Args: []string{"sleep", "60"}, Env: []string{mark(home)}},
		"by its arguments":   {Path: "/bin/sleep", Args: []string{home + "/sleep", "60"}, Env: []string{"PATH="}},
	} {
		t.Run(name, func(t *testing.T) {
			if found := processes(t, home); len(found) != 0 {
				t.Fatalf("found %q before anything was started", found)
			}
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			found := processes(t, home)
			cmd.Process.Kill()
			cmd.Wait()
			if len(found) != 1 {
				t.Errorf("found %q, want one process", found)
			}
		})
	}
	if err := os.WriteFile(filepath.Join(home, "file"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if found := entries(t, home); len(found) != 1 {
		t.Errorf("found %q, want one file", found)
	}
}
