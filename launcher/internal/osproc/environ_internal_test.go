//go:build unix

package osproc

import (
	"fmt"
	"os"
	"os/exec"
	"slices"
	"testing"
)

// What it returns is what package os/exec would make of it.
func TestEnviron(t *testing.T) {
	long := []string{"A=first"}
	for i := range 200 {
		long = append(long, fmt.Sprint("V", i, "=", i))
	}
	long = append(long, "A=last")
	for _, env := range [][]string{
		nil,
		{},
		{"A=1", "B=2", "AB=3", "A_B="},
		{"A=1", "B=2", "A=3"},
		{"A=1", "A=1"},
		{"A", "A=1", "=1", "=2"},
		{"A=1\x00", "B=2"},
		{"A=1=2", "A=2=1"},
		long,
	} {
		for _, dir := range []string{"", os.TempDir()} {
			got, want := Environ(env, dir), (&exec.Cmd{Env: env, Dir: dir}).Environ()
			if !slices.Equal(got, want) {
				t.Errorf("Environ(%q, %q) = %q, want %q", env, dir, got, want)
			}
		}
	}
}
