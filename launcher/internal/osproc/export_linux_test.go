package osproc

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// RefuseGroupFlag has the kernel refuse to signal a group through a pidfd, as it does
// before Linux 6.9, until restore is called.
func RefuseGroupFlag() (restore func()) {
	known := processGroup
	processGroup = 1 << 30
	return func() { processGroup = known }
}

// EnvironOf is environOf.
func EnvironOf(pid int) ([]byte, error) {
	buf := make([]byte, 1<<10)
	return environOf(pid, &buf)
}

// WithHidepid runs a test of this package, with more variables, as a user who is not root, where
// /proc is mounted with an option hidepid. The caller skips what only root can do.
func WithHidepid(t *testing.T, option, test string, env ...string) {
	t.Helper()
	dir, err := os.MkdirTemp("", "hidepid")
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(dir)
	self := filepath.Join(dir, "test")
	program, err := os.ReadFile("/proc/self/exe")
	if err := errors.Join(err, os.Chmod(dir, 0o755), os.WriteFile(self, program, 0o755)); err != nil {
		t.Fatal(err)
	}
	const mounted = "mount -t proc -o hidepid="
	if out, err := exec.Command("unshare", "-m", "sh", "-c", mounted+option+" proc /proc").CombinedOutput(); err != nil {
		t.Skipf("/proc cannot be mounted with hidepid here: %v: %s", err, out)
	}
	cmd := exec.Command("unshare", "-m", "sh", "-c", mounted+option+` proc /proc && exec setpriv --reuid=65534 --regid=65534 --clear-groups "$@"`, "sh",
		self, "-test.v", "-test.short", "-test.run=^"+test+"$")
	cmd.Dir, cmd.Env = dir, append(os.Environ(), env...)
	if out, err := cmd.CombinedOutput(); err != nil || !strings.Contains(string(out), "--- PASS: "+test) {
		t.Errorf("%s: %v\n%s", option, err, out)
	}
}
