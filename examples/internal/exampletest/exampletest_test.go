package exampletest

import (
	"bufio"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// Run must find a process that was started with its mark, a process that only has
// its directory in its arguments, and a file. The test looks for a process only
// after it has written a line: Start returns when execve has closed the descriptors,
// and the kernel shows the new arguments and environment a moment later (fs/exec.c,
// begin_new_exec; 11 of 6,000 processes were seen without any).
func TestLeftBehind(t *testing.T) {
	home := t.TempDir()
	const speak = "echo here; read line"
	for name, cmd := range map[string]*exec.Cmd{
		"by its environment": {Path: "/bin/sh", Args: []string{"sh", "-c", speak}, Env: []string{mark(home)}},
		"by its arguments":   {Path: "/bin/sh", Args: []string{home + "/sh", "-c", speak}, Env: []string{"PATH="}},
	} {
		t.Run(name, func(t *testing.T) {
			if found := processes(t, home); len(found) != 0 {
				t.Fatalf("found %q before anything was started", found)
			}
			stdin, err := cmd.StdinPipe()
			if err != nil {
				t.Fatal(err)
			}
			stdout, err := cmd.StdoutPipe()
			if err != nil {
				t.Fatal(err)
			}
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			if _, err := bufio.NewReader(stdout).ReadString('\n'); err != nil {
				t.Errorf("the process did not speak: %v", err)
			}
			found := processes(t, home)
			stdin.Close() // which ends it
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
