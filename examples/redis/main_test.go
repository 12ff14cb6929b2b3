package main_test

import (
	"os"
	"os/exec"
	"regexp"
	"strings"
	"testing"

	"github.com/podlaunch/podlaunch/examples/internal/exampletest"
)

// A real Redis is launched, answers, and stops: a program that was not written
// to be a pod.
func TestRedis(t *testing.T) {
	if testing.Short() {
		t.Skip("skipped with -short: it starts a real daemon")
	}
	if _, err := exec.LookPath("redis-server"); err != nil {
		if os.Getenv("CI") != "" {
			t.Fatalf("CI must have redis-server: %v", err)
		}
		t.Skipf("redis-server is not installed: %v", err)
	}
	r := exampletest.Run(t, exampletest.Build(t, "."), nil)
	if r.Code != 0 || r.Stderr != "" {
		t.Errorf("exit status %d, stderr %q", r.Code, r.Stderr)
	}
	want := `^ready    unix:/\S+/redis/sock, pid \d+, after \S+\nPING     "\+PONG\\r\\n"\nstopped  exit status 0\n$`
	if !regexp.MustCompile(want).MatchString(r.Stdout) {
		t.Errorf("it said:\n%s", r.Stdout)
	}
}

// Without Redis it says in one line how to get it.
func TestNotInstalled(t *testing.T) {
	r := exampletest.Run(t, exampletest.Build(t, "."), []string{"PATH=" + t.TempDir()})
	if r.Code != 1 || r.Stdout != "" {
		t.Errorf("exit status %d, stdout %q", r.Code, r.Stdout)
	}
	if strings.Count(r.Stderr, "\n") != 1 || !strings.Contains(r.Stderr, "apt-get install redis-server") {
		t.Errorf("it said:\n%s", r.Stderr)
	}
}
