package nomad_test

import (
	"context"
	"errors"
	"io/fs"
	"slices"
	"testing"

	"github.com/podlaunch/podlaunch/examples/nomad"
	"github.com/podlaunch/podlaunch/examples/nomad/internal/fakeengine"
	"github.com/podlaunch/podlaunch/launcher"
)

// serving launches a pod on e, which is ready by its line.
func serving(t *testing.T, e *fakeengine.Engine, policy nomad.OnLost) (*launcher.Launcher, *launcher.Pod, *fakeengine.Task) {
	t.Helper()
	e.Run = announces(server(t))
	l := newLauncher(t, engine(t, e.URL()))
	l.Ready = onlyLine
	l.Starter = nomad.Starter{Engine: engine(t, e.URL()), OnLost: policy}
	pod, err := l.Launch(t.Context(), launcher.Spec{Name: "web"})
	if err != nil {
		t.Fatal(err)
	}
	return l, pod, e.Tasks()[0]
}

// ends waits until the pod is gone, and makes sure that it is so by reason.
func ends(t *testing.T, pod *launcher.Pod, reason error, says ...string) {
	t.Helper()
	<-pod.Done()
	_, err := pod.Wait(t.Context())
	if !errors.Is(err, reason) {
		t.Fatalf("Wait says %v, want %v", err, reason)
	}
	mustSay(t, err, says...)
}

// E1: a pod is bound to its node once it runs, and the engine waits for that node.
func TestBound(t *testing.T) {
	for _, late := range []bool{false, true} { // engines of before and after 1.8
		e := fakeengine.New(t)
		e.Late = late
		_, pod, task := serving(t, e, nomad.HoldName)
		if node := e.Pinned(task.Job); node != "node-here" || len(e.Tasks()) != 1 {
			t.Errorf("it is bound to %q, and there are %d allocations", node, len(e.Tasks()))
		}
		group := e.Body(task.Job)["TaskGroups"].([]any)[0].(map[string]any)
		if _, earlier := group["MaxClientDisconnect"]; earlier == late || group["Disconnect"] == nil {
			t.Errorf("the group is %v", group)
		}
		if err := pod.Stop(t.Context()); err != nil {
			t.Error(err)
		}
		nothingLeft(t, e)
	}
}

// E1, E3: while the node does not answer the pod is ErrLost for who watches it, and for
// who asks; its name is held, and when the node is back it is there again.
func TestLostIsHeld(t *testing.T) {
	for _, status := range []string{"lost", "unknown"} {
		e := fakeengine.New(t)
		l, pod, task := serving(t, e, nomad.HoldName)
		task.Lose(status)
		ends(t, pod, nomad.ErrLost, "the node here", "may still run")
		if err := pod.Stop(t.Context()); !errors.Is(err, nomad.ErrLost) {
			t.Errorf("it cannot be stopped, and Stop says %v", err)
		}
		if _, err := l.Attach(t.Context(), "web"); !errors.Is(err, nomad.ErrLost) || errors.Is(err, fs.ErrNotExist) {
			t.Errorf("Attach says %v", err)
		}
		if _, started, err := l.Ensure(t.Context(), launcher.Spec{Name: "web"}); !errors.Is(err, nomad.ErrLost) || started {
			t.Errorf("Ensure says %v", err)
		}
		for _, err := range l.List(t.Context()) {
			if !errors.Is(err, nomad.ErrLost) {
				t.Errorf("List says %v", err)
			}
		}
		if len(e.Tasks()) != 1 {
			t.Fatalf("there were %d programs", len(e.Tasks()))
		}
		task.Back()
		again, err := l.Attach(t.Context(), "web")
		if err != nil {
			t.Fatal(err)
		}
		if err := again.Stop(t.Context()); err != nil {
			t.Error(err)
		}
		nothingLeft(t, e)
	}
}

// E3: the other risk: the name is free at once.
func TestLostIsFree(t *testing.T) {
	e := fakeengine.New(t)
	l, pod, task := serving(t, e, nomad.FreeName)
	task.Lose("unknown")
	ends(t, pod, nomad.ErrLost)
	if jobs := e.Jobs(); len(jobs) > 0 {
		t.Errorf("the engine still has the jobs %q", jobs)
	}
	second, started, err := l.Ensure(t.Context(), launcher.Spec{Name: "web"})
	if err != nil || !started {
		t.Fatal(started, err)
	}
	if err := second.Stop(t.Context()); err != nil {
		t.Error(err)
	}
}

// E3: a node that was purged is known to be gone, and the name is free. One about which
// the engine does not say is not.
func TestNodeGone(t *testing.T) {
	e := fakeengine.New(t)
	e.Forbid = map[string]bool{"GET /v1/node/{id}": true}
	l, pod, task := serving(t, e, nomad.HoldName)
	pod.Release()
	task.Lose("lost")
	if _, err := l.Attach(t.Context(), "web"); !errors.Is(err, nomad.ErrLost) {
		t.Errorf("Attach says %v", err)
	}
	e.Change(func() { e.Forbid, e.Away = nil, true })
	if _, err := l.Attach(t.Context(), "web"); !errors.Is(err, fs.ErrNotExist) || !errors.Is(err, nomad.ErrLost) {
		t.Errorf("Attach says %v", err)
	}
	if jobs := e.Jobs(); len(jobs) > 0 {
		t.Errorf("the engine still has the jobs %q", jobs)
	}
}

// E1: the engine has put the job on another node: the pod is lost, and so is the other.
func TestMoved(t *testing.T) {
	for _, released := range []bool{false, true} {
		e := fakeengine.New(t)
		l, pod, task := serving(t, e, nomad.HoldName)
		if released {
			pod.Release()
		}
		task.Lose("unknown")
		task.Move()
		if !released {
			ends(t, pod, nomad.ErrLost)
		} else {
			var err error
			for _, err = range l.List(t.Context()) {
			}
			if !errors.Is(err, nomad.ErrLost) {
				t.Fatalf("List says %v", err)
			}
			mustSay(t, err, "moved by the engine to there")
		}
		e.Await(func() bool { return len(e.Jobs()) == 0 })
		<-e.Tasks()[1].Done
	}
}

// E1: a drain is reported as one.
func TestDrained(t *testing.T) {
	e := fakeengine.New(t)
	l, pod, task := serving(t, e, nomad.HoldName)
	task.Drain()
	ends(t, pod, nomad.ErrDrained, "the node here", "exit status 0")
	if _, err := pod.Wait(t.Context()); !errors.Is(err, nomad.ErrLost) {
		t.Errorf("Wait says %v", err)
	}
	nothingLeft(t, e)

	pod, err := l.Launch(t.Context(), launcher.Spec{Name: "web"})
	if err != nil {
		t.Fatal(err)
	}
	pod.Release()
	task = e.Tasks()[1]
	task.Drain()
	<-task.Done
	var states []launcher.State
	for s, err := range l.List(t.Context()) {
		if err != nil {
			t.Fatal(err)
		}
		states = append(states, s.State)
		if !errors.Is(s.Why, nomad.ErrDrained) {
			t.Errorf("it is gone, for %v", s.Why)
		}
	}
	if !slices.Equal(states, []launcher.State{launcher.StateGone}) {
		t.Errorf("the states are %q", states)
	}
	nothingLeft(t, e)
}

// E6: who was killed without word from its executor has no exit status.
func TestExitUnknown(t *testing.T) {
	e := fakeengine.New(t)
	_, pod, task := serving(t, e, nomad.HoldName)
	task.Kill()
	<-pod.Done()
	if exit, err := pod.Wait(t.Context()); exit != (launcher.Exit{}) || err != nil {
		t.Errorf("it ended with %v, %v", exit, err)
	}
	nothingLeft(t, e)
}

// E5: a token that is revoked while a pod runs ends the watching, with the engine's
// words, and not the pod.
func TestRevoked(t *testing.T) {
	e := fakeengine.New(t)
	l, pod, task := serving(t, e, nomad.HoldName)
	address := pod.Endpoint()
	forbidden := map[string]bool{
		"GET /v1/event/stream": true, "GET /v1/allocations": true, "GET /v1/job/{id}/allocations": true,
		"DELETE /v1/job/{id}": true, "PUT /v1/jobs": true, "GET /v1/job/{id}": true,
	}
	e.Change(func() { e.Forbid = forbidden })
	e.Down() // the stream is cut, as an engine does then
	e.Up()
	ends(t, pod, nomad.ErrForbidden, "Permission denied")
	if _, err := l.Attach(t.Context(), "web"); !errors.Is(err, nomad.ErrForbidden) || errors.Is(err, fs.ErrNotExist) {
		t.Errorf("Attach says %v", err)
	}
	if err := pod.Stop(t.Context()); !errors.Is(err, nomad.ErrForbidden) {
		t.Errorf("Stop says %v", err)
	}
	select {
	case <-task.Done:
		t.Error("the pod was ended")
	default:
	}
	e.Change(func() { e.Forbid = nil })
	again, err := l.Attach(t.Context(), "web")
	if err != nil || again.Endpoint() != address {
		t.Fatal(again, err)
	}
	if err := again.Stop(t.Context()); err != nil {
		t.Error(err)
	}
	nothingLeft(t, e)
}

// E5: a launch that lacks a capability ends at once, with the engine's words, and
// leaves nothing.
func TestForbidden(t *testing.T) {
	for call, stage := range map[string]launcher.Stage{
		"PUT /v1/jobs":                launcher.StageStart,
		"GET /v1/evaluation/{id}":     launcher.StageStart,
		"GET /v1/event/stream":        launcher.StageStart,
		"GET /v1/client/fs/logs/{id}": launcher.StageReady,
	} {
		t.Run(call, func(t *testing.T) {
			e := fakeengine.New(t)
			e.Run = announces(server(t))
			e.Forbid = map[string]bool{call: true}
			l := newLauncher(t, engine(t, e.URL()))
			l.Ready = onlyLine
			_, err := l.Launch(context.Background(), launcher.Spec{Name: "web"})
			var failure *launcher.Error
			if !errors.As(err, &failure) || !errors.Is(err, nomad.ErrForbidden) || failure.Stage != stage {
				t.Fatalf("stage %v: %v", failure, err)
			}
			mustSay(t, err, "Permission denied")
			if jobs := e.Jobs(); len(jobs) > 0 {
				t.Errorf("the engine still has the jobs %q", jobs)
			}
			t.Log(err)
		})
	}
}
