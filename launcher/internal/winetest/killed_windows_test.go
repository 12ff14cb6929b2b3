package winetest_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/windows"

	"github.com/podlaunch/podlaunch/launcher"
	"github.com/podlaunch/podlaunch/runtimedir/conformance"
)

// A launcher that is killed at any point of a launch leaves one pod or none, and the next
// Ensure gives one. Half of the points are moments, and half come after a step.
func TestLauncherKilled(t *testing.T) {
	base := t.TempDir()
	whole := wholeLaunch(t, base)
	t.Logf("a launch takes %v", whole)
	const points, lines = 50, 12 // the lines of a launch with a trace, at least
	var left [2]int
	for i := range points {
		var other *aLauncher
		if i%2 == 0 {
			other = startLauncher(t, base)
			time.Sleep(whole * time.Duration(i) / (points * 4 / 5))
		} else {
			other = startLauncher(t, base, "trace")
			for range i / 2 % lines {
				other.line()
			}
			time.Sleep(time.Duration(i/2/lines) * 2 * time.Millisecond)
		}
		kill(t, other.Process.Pid)
		other.Wait()
		pids := awaitSome(t, i)
		left[len(pids)]++
		endByEnsure(t, base, i)
	}
	t.Logf("%d launchers left nobody, %d a process", left[0], left[1])
	if left[0] == 0 || left[1] == 0 {
		t.Errorf("the points are not spread over the launch: %v", left)
	}
}

// awaitSome waits until there is one other process of this program, or none.
func awaitSome(t *testing.T, point int) (pids []int) {
	t.Helper()
	if !conformance.Eventually(patience, func() bool { pids = others(t); return len(pids) < 2 }) {
		t.Fatalf("point %d: it leaves %v", point, pids)
	}
	return pids
}

// endByEnsure has Ensure give the pod, makes sure that it is the only one, and kills it.
func endByEnsure(t *testing.T, base string, point int) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	pod, _, err := newLauncher(base).Ensure(ctx, launcher.Spec{Name: "alice"})
	if errors.Is(err, windows.ERROR_INTERNAL_ERROR) { // Wine's, as in TestSoak
		t.Logf("point %d: %v", point, err)
		pod, _, err = newLauncher(base).Ensure(ctx, launcher.Spec{Name: "alice"})
	}
	if err != nil {
		t.Fatalf("point %d: %v", point, err)
	}
	if pids := awaitOthers(t, 1); pids[0] != pod.PID() {
		t.Errorf("point %d: %v are there, and the pod is %d", point, pids, pod.PID())
	}
	if err := pod.Kill(t.Context()); err != nil {
		t.Fatal(err)
	}
	awaitOthers(t, 0)
}

// wholeLaunch returns how long a launch takes, from where startLauncher returns.
func wholeLaunch(t *testing.T, base string) time.Duration {
	t.Helper()
	var longest time.Duration
	for range 3 {
		other := startLauncher(t, base)
		began := time.Now()
		if line := other.line(); !strings.HasPrefix(line, "pid ") {
			t.Fatal(line)
		}
		longest = max(longest, time.Since(began))
		other.end()
		other.Wait()
		if err := newLauncher(base).Stop(t.Context(), "alice"); err != nil {
			t.Fatal(err)
		}
	}
	return longest
}

// A pod that is tied to its launcher ends with it, with all that has come of it, however the
// launcher ends, also while another program is attached to it.
func TestWithParent(t *testing.T) {
	for _, hard := range []bool{false, true} {
		base := t.TempDir()
		other := startLauncher(t, base, "parent", "-children=2", "-stop=ignore")
		if line := other.line(); !strings.HasPrefix(line, "pid ") {
			t.Fatal(line)
		}
		awaitOthers(t, 4)
		pod, err := newLauncher(base).Attach(t.Context(), "alice")
		if err != nil {
			t.Fatal(err)
		}
		if hard {
			kill(t, other.Process.Pid)
		} else {
			other.end()
		}
		other.Wait()
		select {
		case <-pod.Done():
		case <-time.After(patience):
			t.Fatal("it has not ended")
		}
		awaitOthers(t, 0)
	}
}
