//go:build unix

package fakepod

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
)

// Build builds the fake pod and returns the path of the binary and a function
// that removes it. It never builds the fake pod with the race detector, even if
// the tests use it: in a pod the detector would find nothing, and cost a tenth of
// a second at each start.
//
// go run keeps the program that it has linked in the build cache, and go build does
// not: with go build, each of the packages that use the fake pod would link it again.
func Build() (path string, remove func(), err error) {
	dir, err := os.MkdirTemp("", "fakepod")
	if err != nil {
		return "", nil, err
	}
	remove = func() { os.RemoveAll(dir) }
	path = filepath.Join(dir, "pod")
	build := exec.Command("go", "run", "-exec", "cp", "github.com/podlaunch/podlaunch/launcher/internal/fakepod/pod", path)
	if out, err := build.CombinedOutput(); err != nil {
		remove()
		return "", nil, fmt.Errorf("build the fake pod: %w\n%s", err, out)
	}
	return path, remove, nil
}
