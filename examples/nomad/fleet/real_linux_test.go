package main

import (
	"errors"
	"io"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/podlaunch/podlaunch/examples/nomad"
	"github.com/podlaunch/podlaunch/examples/nomad/internal/agenttest"
	"github.com/podlaunch/podlaunch/launcher"
	"github.com/podlaunch/podlaunch/readiness"
	"github.com/podlaunch/podlaunch/runtimedir"
)

// The same program, with one flag changed, on a real agent.
func TestNomad(t *testing.T) {
	a := agenttest.New(t, false)
	t.Setenv("NOMAD_ADDR", a.URL)
	path := filepath.Join(t.TempDir(), "fleet")
	said := fleetOf(t, 0, "-on", "nomad", "-n", "20", "-timeout", "2m", "-timeline", path)
	mustSay(t, said, "web-1 ", "20 of 20 pods were ready, answered and were stopped (nomad)")
	mustBeTimeline(t, path, "nomad")
	noPods(t, a)
}

// newFleet is what run makes of its flags, for a test that interferes.
func newFleet(t *testing.T, size int) *fleet {
	f := &fleet{out: io.Discard, size: size, atOnce: 4, name: "web"}
	f.launcher = launcher.Launcher{
		Command: worker(""),
		Dir:     runtimedir.Dir(t.TempDir()),
		Ready:   readiness.Sequence{readiness.ReadyLine{Network: "tcp"}, readiness.TCP{}},
		Timeout: 2 * time.Minute, // a guard
	}
	if err := f.place("nomad"); err != nil {
		t.Fatal(err)
	}
	return f
}

// One pod is killed in the middle: the table says so of it, and of no other.
func TestPodKilled(t *testing.T) {
	a := agenttest.New(t, false)
	t.Setenv("NOMAD_ADDR", a.URL)
	f := newFleet(t, 8)
	var victim string
	var once sync.Once
	f.launched = func(l *launch) {
		once.Do(func() {
			victim = l.name
			for pid, command := range a.Left() {
				if strings.HasSuffix(strings.TrimSpace(command), " "+workerRole+" "+victim) {
					syscall.Kill(pid, syscall.SIGKILL)
				}
			}
			<-l.pod.Done()
		})
	}
	for _, l := range f.run(t.Context()) {
		if l.name != victim && l.err != nil {
			t.Errorf("%s: %v", l.name, l.err)
		}
		if l.name == victim && (l.err == nil || !strings.Contains(l.err.Error(), "it has ended by itself: signal: killed")) {
			t.Errorf("%s was killed, and the fleet says %v", l.name, l.err)
		}
	}
	noPods(t, a)
}

// The agent is killed in the middle, and comes back: what is launched in between
// fails and says why, what is launched later does not, and the pod that was there
// before answers and is stopped like the others. (It is killed between two
// launches: the helpers of a task that it is about to start it would not know
// again.)
func TestAgentKilled(t *testing.T) {
	a := agenttest.New(t, true)
	t.Setenv("NOMAD_ADDR", a.URL)
	f := newFleet(t, 6)
	f.atOnce = 1
	over := 0
	f.launched = func(*launch) {
		switch over++; over {
		case 1:
			a.Kill()
		case 3:
			a.Restart()
		}
	}
	for i, l := range f.run(t.Context()) {
		var failure *launcher.Error
		switch inBetween := i == 1 || i == 2; {
		case !inBetween && l.err != nil:
			t.Errorf("%s: %v", l.name, l.err)
		case inBetween && (!errors.As(l.err, &failure) || !errors.Is(l.err, nomad.ErrUnreachable) || failure.Stage != launcher.StageStart || failure.Leftover != nil):
			t.Errorf("%s, while there was no agent: %v", l.name, l.err)
		}
	}
	noPods(t, a)
}

// pods are those that run.
func pods(a *agenttest.Agent) (all []string) {
	for _, command := range a.Left() {
		if strings.Contains(command, " "+workerRole+" ") && !strings.Contains(command, "executor") {
			all = append(all, command)
		}
	}
	return all
}

func noPods(t *testing.T, a *agenttest.Agent) {
	t.Helper()
	for _, command := range pods(a) {
		t.Errorf("it still runs: %s", command)
	}
}
