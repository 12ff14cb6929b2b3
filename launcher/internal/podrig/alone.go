//go:build linux

package podrig

import (
	"bytes"
	"flag"
	"os"
	"os/exec"
	"strings"
	"testing"
)

// AloneVariable is set, to the test's name, for the process that [Alone] starts.
const AloneVariable = "PODLAUNCH_TEST_ALONE"

// Alone runs the test in a process of its own, which change may change, and
// reports whether this is that process.
func Alone(t *testing.T, change ...func(*exec.Cmd)) bool {
	t.Helper()
	if os.Getenv(AloneVariable) == t.Name() {
		return true
	}
	pattern := "^" + strings.ReplaceAll(t.Name(), "/", "$/^") + "$"
	c := exec.Command(os.Args[0], "-test.run="+pattern, "-test.v", "-test.timeout=5m")
	if dir := flag.Lookup("test.gocoverdir").Value.String(); dir != "" {
		c.Args = append(c.Args, "-test.gocoverdir="+dir) // what it reaches counts, too
	}
	c.Env = append(os.Environ(), AloneVariable+"="+t.Name())
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
