//go:build linux

package launcher_test

import (
	"testing"

	"github.com/podlaunch/podlaunch/launcher"
	"github.com/podlaunch/podlaunch/launcher/internal/podrig"
)

// The whole job: a pod starts, talks, is ready, answers, and stops.
func TestLaunch(t *testing.T) {
	r := newRig(t, "say one", "say two", "listen", "ready", "hang")
	var lines []string
	pod := r.Launch(launcher.Spec{Name: "alice", Progress: func(line string) { lines = append(lines, line) }})
	podrig.Ping(t, pod)
	if len(lines) != 2 || lines[0] != "one" || lines[1] != "two" {
		t.Errorf("progress got %q", lines)
	}
	if err := pod.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	exit, err := pod.Wait(t.Context())
	if err != nil || exit.String() != "signal: terminated" {
		t.Errorf("Wait returned %v, %v", exit, err)
	}
}

// A pod that exits early leaves all the evidence in one error, and nothing
// else.
func TestLaunchFails(t *testing.T) {
	r := newRig(t, "say one", "say two", `write "three"`, "exit 3")
	e := r.Fail(t.Context(), launcher.Spec{Name: "alice"})
	podrig.MustBe(t, e, launcher.ErrExitedEarly)
	podrig.MustSay(t, e, "pod exited before becoming ready: one | two | three", "exit status 3", e.LogPath)
	if e.Stage != launcher.StageReady || e.Exit == nil || e.Exit.Code != 3 || len(e.Tail) != 3 {
		t.Errorf("%+v", e)
	}
	r.Relaunch("alice")
}
