package examples_test

import (
	"path/filepath"
	"testing"

	"github.com/podlaunch/podlaunch/examples/internal/exampletest"
)

// A module outside this repository compiles against every name of the contract,
// and launches a pod. It needs no module that this repository does not need: with
// the go.sum of this repository, another one would be an error.
func TestConsumer(t *testing.T) {
	if testing.Short() {
		t.Skip("skipped with -short: it builds a module of its own")
	}
	dir := newModule(t)
	for _, name := range []string{"main.go", "contract.go", "kits_test.go", "go.mod"} {
		write(t, filepath.Join(dir, name), read(t, "consumer", name))
	}
	write(t, filepath.Join(dir, "go.sum"), read(t, "..", "go.sum"))
	shell(t, dir, `
		go mod edit -replace github.com/podlaunch/podlaunch=../podlaunch
		go build -o consumer .
		go vet .`)
	r := exampletest.Run(t, filepath.Join(dir, "consumer"), nil)
	if r.Code != 0 || r.Stderr != "" || r.Stdout != "contract says hello\n" {
		t.Errorf("exit status %d, stderr %q, stdout %q", r.Code, r.Stderr, r.Stdout)
	}
}
