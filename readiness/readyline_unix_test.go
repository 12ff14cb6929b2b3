//go:build unix

package readiness_test

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/podlaunch/podlaunch/readiness"
)

// C9: if a socket answers although nothing was announced, the pod is not ready, and the
// error names the socket.
func TestReadyLineSocketAnswers(t *testing.T) {
	dir := shortDir(t)
	l, err := net.Listen("unix", filepath.Join(dir, "sock"))
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	target := target(t, logOf("starting"))
	target.RuntimeDir = dir
	_, _, err = await(t, readiness.ReadyLine{}, target)
	want := []string{fmt.Sprintf("a socket answers at %q, though the pod has not announced it", l.Addr())}
	if got := pending(t, err, errOver).Notes; !slices.Equal(got, want) {
		t.Errorf("notes %q, want %q", got, want)
	}
	mustSay(t, err, want[0])
}

// Rule 9: the end of the context ends a Sequence also where its Socket waits.
func TestSequenceCancelledAtTheSocket(t *testing.T) {
	dir := t.TempDir()
	s := readiness.Sequence{readiness.ReadyLine{}, readiness.Socket{}}
	_, took, err := await(t, s, target(t, logOf("INSOMNIA-READY\tpod\t"+dir+"/sock")))
	if p := pending(t, err, errOver); took != patience || p.Waiting != "an answer on unix:"+dir+"/sock" {
		t.Errorf("after %v: %v", took, err)
	}
}

// shortDir returns a directory whose path is short, so that a socket below it
// can be bound.
func shortDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "s")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}
