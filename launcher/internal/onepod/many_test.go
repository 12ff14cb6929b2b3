//go:build linux

package onepod_test

import (
	"fmt"
	"os"
	"os/exec"
	"runtime/debug"
	"sync"
	"testing"

	"github.com/podlaunch/podlaunch/launcher"
	"github.com/podlaunch/podlaunch/launcher/internal/podrig"
)

// B25: five hundred pods (a hundred without -soak) take no thread each. The
// program may have 64 of them: one more, and the Go runtime ends it.
func TestManyPods(t *testing.T) {
	if !podrig.Alone(t, passSize) {
		return
	}
	debug.SetMaxThreads(64)
	many := podrig.Size(t, 30, 100, 500)
	r := newRig(t, podrig.Serve...)
	pods := make([]*launcher.Pod, many)
	const some = 10 // at once: each needs a thread while it waits for the filesystem
	for from := 0; from < many; from += some {
		r.launchAtOnce(pods[from:from+some], from)
	}
	t.Logf("%d pods; %d threads", many, threads(t))
	for from := 0; from < many; from += some {
		stopAtOnce(t, pods[from:from+some])
	}
}

// D16: a thousand names (two hundred without -soak, twenty with -short) are asked
// for at once. All are ready. How many threads there are then is a matter of chance: as many as
// launches waited for the filesystem at the same time (TestManyPods is about those
// of pods).
func TestManyNames(t *testing.T) {
	if !podrig.Alone(t, passSize) {
		return
	}
	many := podrig.Size(t, 20, 100, 1000)
	r := newRig(t, podrig.Serve...)
	pods := make([]*launcher.Pod, many)
	r.launchAtOnce(pods, 0)
	t.Logf("%d pods; %d threads", many, threads(t))
	stopAtOnce(t, pods)
}

// launchAtOnce launches pods, whose names are numbered from first on, and has
// them answer.
func (r *rig) launchAtOnce(pods []*launcher.Pod, first int) {
	r.T.Helper()
	atOnce(len(pods), func(i int) {
		pod, err := r.L.Launch(r.T.Context(), launcher.Spec{Name: fmt.Sprintf("pod%d", first+i)})
		if err == nil {
			pods[i], err = pod, answers(r.T.Context(), pod)
		}
		if err != nil {
			r.T.Error(err)
		}
	})
}

func stopAtOnce(t *testing.T, pods []*launcher.Pod) {
	t.Helper()
	atOnce(len(pods), func(i int) {
		if pods[i] == nil {
			return // it was not launched, which is an error already
		}
		if err := pods[i].Stop(t.Context()); err != nil {
			t.Error(err)
		}
	})
}

// passSize has a process that [podrig.Alone] starts do as much as this one.
func passSize(c *exec.Cmd) {
	if testing.Short() {
		c.Args = append(c.Args, "-test.short")
	}
	if *podrig.Soak {
		c.Args = append(c.Args, "-soak")
	}
}

// atOnce calls f with 0 to n-1, each in a goroutine, and waits for all.
func atOnce(n int, f func(i int)) {
	var all sync.WaitGroup
	for i := range n {
		all.Go(func() { f(i) })
	}
	all.Wait()
}

// threads returns how many threads this process has.
func threads(t *testing.T) int {
	t.Helper()
	tasks, err := os.ReadDir("/proc/self/task")
	if err != nil {
		t.Fatal(err)
	}
	return len(tasks)
}
