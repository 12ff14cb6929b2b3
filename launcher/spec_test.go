//go:build linux

package launcher_test

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/uuid"
	"github.com/podlaunch/podlaunch/launcher"
	"github.com/podlaunch/podlaunch/launcher/internal/podrig"
)

// environment launches a pod with env and returns the environment that it got,
// sorted.
func (r *rig) environment(env []string) []string {
	r.T.Helper()
	seen := filepath.Join(r.Base, "env")
	r.L.Command = podrig.Script("env "+seen, "listen", "ready", "hang")
	mustStop(r.T, r.Launch(launcher.Spec{Name: "alice", Env: env}))
	got := slices.DeleteFunc(strings.Split(readFile(r.T, seen), "\x00"), isLaunchID)
	slices.Sort(got)
	return got
}

// Spec.Env is as in exec.Cmd: nil is the caller's, the last of several values
// of a variable counts, and what the caller passed is not changed.
func TestSpecEnv(t *testing.T) {
	r := newRig(t)
	env := []string{"A=1", "B=2", "A=3", "EMPTY=", "BYTES=\xff"}
	before := slices.Clone(env)
	facts := []string{"POD_NAME=alice", "POD_RUNTIME_DIR=" + r.Dir("alice")}
	if diff := difference(append([]string{"A=3", "B=2", "BYTES=\xff", "EMPTY="}, facts...), r.environment(env)); diff != "" {
		t.Errorf("environment (-want +got):\n%s", diff)
	}
	if !slices.Equal(before, env) {
		t.Errorf("the caller's slice was changed: %q", env)
	}
	if got := r.environment([]string{}); !slices.Equal(got, facts) {
		t.Errorf("without any environment the pod got %q", got)
	}
	t.Setenv("INHERITED", "yes")
	if got := r.environment(nil); !slices.Contains(got, "INHERITED=yes") {
		t.Errorf("the caller's environment is not inherited: %q", got)
	}
}

// Spec.Dir is taken from the caller's working directory, and is the caller's if
// it is empty.
func TestSpecDir(t *testing.T) {
	r := newRig(t, podrig.Serve...)
	below := filepath.Join(r.Base, "work", "below")
	if err := os.MkdirAll(below, 0o700); err != nil {
		t.Fatal(err)
	}
	t.Chdir(filepath.Dir(below))
	for dir, want := range map[string]string{
		"":           filepath.Dir(below),
		".":          filepath.Dir(below),
		"below":      below,
		"./below/..": filepath.Dir(below),
		"..":         r.Base,
		below:        below,
	} {
		pod := r.Launch(launcher.Spec{Name: "alice", Dir: dir})
		if got, err := os.Readlink(fmt.Sprintf("/proc/%d/cwd", pod.PID())); err != nil || got != want {
			t.Errorf("Dir %q: the pod is in %q, %v, want %q", dir, got, err, want)
		}
		mustStop(t, pod)
	}
}

// Row 6: stdout is null unless Spec.LogStdout sends it to the log, where it is
// as good as stderr: for the callback, and for the ready line.
func TestSpecLogStdout(t *testing.T) {
	r := newRig(t, "out to stdout", "say to stderr", "listen", "ready", "hang")
	for logged, want := range map[bool][]string{false: {"to stderr"}, true: {"to stdout", "to stderr"}} {
		var lines []string
		pod := r.Launch(launcher.Spec{Name: "alice", LogStdout: logged, Progress: func(line string) { lines = append(lines, line) }})
		if diff := difference(want, lines); diff != "" {
			t.Errorf("LogStdout is %v, and progress (-want +got):\n%s", logged, diff)
		}
		if got := r.ReadLog("alice"); got != strings.Join(want, "\n")+"\n"+r.readyLine("alice") {
			t.Errorf("LogStdout is %v, and the log holds %q", logged, got)
		}
		mustStop(t, pod)
	}
	r.L.Command = podrig.Script("listen", "out "+strings.TrimSuffix(r.readyLine("alice"), "\n"), "hang")
	podrig.Ping(t, r.Launch(launcher.Spec{Name: "alice", LogStdout: true}))
}

// isLaunchID reports whether e tells the id of a launch, which is new each time.
func isLaunchID(e string) bool {
	id, ok := strings.CutPrefix(e, "POD_LAUNCH_ID=")
	return ok && uuid.Validate(id) == nil
}
