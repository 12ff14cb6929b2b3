//go:build linux

package podrig

import (
	"bytes"
	"flag"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// AloneVariable is set, to the test's name, for the process that [Alone] starts.
const AloneVariable = "PODLAUNCH_TEST_ALONE"

// Alone runs the test in a process of its own, which change may change, and
// reports whether this is that process. In this one the test runs beside others, so it has
// done nothing yet that is for one test at a time. The process has a fake pod of its
// own, and finds no other if it looks for those that are left.
func Alone(t *testing.T, change ...func(*exec.Cmd)) bool {
	t.Helper()
	if os.Getenv(AloneVariable) == t.Name() {
		return true
	}
	t.Parallel()
	dir, err := os.MkdirTemp(filepath.Dir(Pod), "alone")
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(dir)
	pod := filepath.Join(dir, filepath.Base(Pod))
	if err := os.Link(Pod, pod); err != nil {
		t.Fatal(err)
	}
	pattern := "^" + strings.ReplaceAll(t.Name(), "/", "$/^") + "$"
	c := exec.Command(os.Args[0], "-test.run="+pattern, "-test.v", "-test.timeout=5m")
	if dir := flag.Lookup("test.gocoverdir").Value.String(); dir != "" {
		c.Args = append(c.Args, "-test.gocoverdir="+dir) // what it reaches counts, too
	}
	c.Env = append(os.Environ(), AloneVariable+"="+t.Name(), PodVariable+"="+pod)
	for _, f := range change {
		f(c)
	}
	out, err := c.CombinedOutput()
	if testing.CoverMode() != "" {
		err = nil // what it has reached it may not have been able to write down
	}
	if err != nil || !bytes.Contains(out, []byte("--- PASS: "+t.Name())) {
		t.Errorf("%v\n%s", err, out)
	}
	return false
}
