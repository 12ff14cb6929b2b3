//go:build linux

package launcher_test

import (
	"context"
	"errors"
	"os"
	"strings"
	"testing"

	"github.com/podlaunch/podlaunch/launcher"
	"github.com/podlaunch/podlaunch/launcher/internal/leaktest"
	"github.com/podlaunch/podlaunch/launcher/internal/podrig"
	"github.com/podlaunch/podlaunch/logsource"
	"github.com/podlaunch/podlaunch/readiness"
	"github.com/podlaunch/podlaunch/runtimedir"
)

var errSick = errors.New("the strategy is sick")

// A trap is what happens to a launch in one call of a strategy.
type trap struct {
	where, how string
	cancel     context.CancelFunc // of the launch; a call that hangs cancels it
	release    chan struct{}      // lets a call that hangs go on
}

// at springs the trap if it is where the caller is.
func (x *trap) at(where string) error {
	if x.where != where {
		return nil
	}
	switch x.how {
	case "panics":
		panic(errSick)
	case "hangs":
		x.cancel()
		<-x.release
		return nil
	}
	return errSick
}

// set puts the default strategy with the trap into each slot.
func (x *trap) set(r *rig) {
	command := r.L.Command
	r.L.Command = launcher.CommandResolverFunc(func(ctx context.Context, req launcher.Request) (launcher.Command, error) {
		if err := x.at("command"); err != nil {
			return launcher.Command{}, err
		}
		return command.ResolveCommand(ctx, req)
	})
	r.L.Dir = trappedDir{runtimedir.Dir(r.Base), x}
	r.L.Log = logsource.SourceFunc(func(ctx context.Context, l logsource.Launch) (*logsource.Log, error) {
		if err := x.at("log"); err != nil {
			return nil, err
		}
		log, err := logsource.File{}.Open(context.WithoutCancel(ctx), l) // a late one opens it all the same
		if err == nil {
			closeLog := log.Close
			log.Close = func() error {
				defer closeLog()
				return x.at("close")
			}
		}
		return log, err
	})
	r.L.Ready = preparer(func(_ context.Context, s *readiness.Setup) (readiness.Probe, error) {
		s.Cleanup(func() { x.at("cleanup") })
		return readiness.ProbeFunc(func(ctx context.Context, t readiness.Target) (readiness.Endpoint, error) {
			if err := x.at("probe"); err != nil {
				return readiness.Endpoint{}, err
			}
			return readiness.Sequence{readiness.ReadyLine{}, readiness.Socket{}}.Wait(ctx, t)
		}), x.at("prepare")
	})
	r.L.Starter = podrig.StarterFunc(func(ctx context.Context, req launcher.StartRequest) (launcher.Process, error) {
		if err := x.at("start"); err != nil {
			return nil, err
		}
		return launcher.Local{}.Start(context.WithoutCancel(ctx), req)
	})
}

// A trappedDir has its trap in both of its methods.
type trappedDir struct {
	runtimedir.Dir
	x *trap
}

func (d trappedDir) Base(ctx context.Context) (string, error) {
	if err := d.x.at("base"); err != nil {
		return "", err
	}
	return d.Dir.Base(ctx)
}

func (d trappedDir) RuntimeDir(ctx context.Context, name string) (string, error) {
	if err := d.x.at("directory"); err != nil {
		return "", err
	}
	return d.Dir.RuntimeDir(context.WithoutCancel(ctx), name)
}

// Any call of a launch may fail, panic or hang. What the launch has made is undone by the
// time that Launch returns or panics; after a call that hangs, by the time that the call
// returns. The name can be launched again.
func TestEachStepFailsPanicsAndHangs(t *testing.T) {
	for _, c := range []struct {
		where string
		stage launcher.Stage
	}{
		{"base", launcher.StageDir}, {"command", launcher.StageResolve}, {"directory", launcher.StageDir},
		{"log", launcher.StageLog}, {"prepare", launcher.StageReady}, {"start", launcher.StageStart}, {"probe", launcher.StageReady},
	} {
		for _, how := range []string{"fails", "panics", "hangs"} {
			t.Run(c.where+" "+how, func(t *testing.T) {
				if testing.Short() && how == "hangs" && c.where != "probe" {
					t.Skip("skipped with -short: a launch waits for what hangs")
				}
				r := newRig(t, podrig.Serve...)
				healthy := *r
				before := leaktest.Take()
				pod, panicked, err := r.launchInto(c.where, how)
				if pod != nil {
					t.Fatalf("Launch returned %v", pod)
				}
				var e *launcher.Error
				switch {
				case how == "panics" && panicked != error(errSick):
					t.Errorf("Launch returned %v and panicked with %v", err, panicked)
				case how == "fails" && (!errors.Is(err, errSick) || !errors.As(err, &e) || e.Stage != c.stage || e.Leftover != nil):
					t.Errorf("Launch returned %+v", err)
				case how == "hangs" && (!errors.Is(err, context.Canceled) || !errors.As(err, &e) || e.Stage != c.stage || e.Leftover == nil):
					t.Errorf("Launch returned %+v", err)
				}
				mustLeaveNothing(t, before)
				healthy.Relaunch("alice")
			})
		}
	}
}

// The calls that undo a launch that has failed may panic or hang, too. The rest
// is undone all the same, and a panic goes on in the caller.
func TestUndoingPanicsAndHangs(t *testing.T) {
	for _, where := range []string{"cleanup", "close"} {
		for _, how := range []string{"panics", "hangs"} {
			t.Run(where+" "+how, func(t *testing.T) {
				if testing.Short() && how == "hangs" {
					t.Skip("skipped with -short: a launch waits for what hangs")
				}
				r := newRig(t, "exit 3")
				healthy := *r
				healthy.L.Command = podrig.Script(podrig.Serve...)
				before := leaktest.Take()
				_, panicked, err := r.launchInto(where, how)
				var e *launcher.Error
				if how == "panics" && panicked != error(errSick) {
					t.Errorf("Launch returned %v and panicked with %v", err, panicked)
				}
				if how == "hangs" && (!errors.Is(err, launcher.ErrExitedEarly) || !errors.As(err, &e) || e.Leftover == nil || e.Exit == nil) {
					t.Errorf("Launch returned %+v", err)
				}
				mustLeaveNothing(t, before)
				healthy.Relaunch("alice")
			})
		}
	}
}

// B4: once a pod is recorded as ready, others may have it. Its own launch does not end it
// any more, even if a cleanup of the probe hangs past the end of the launch's time, or
// panics.
func TestReadyPodOutlivesItsCleanup(t *testing.T) {
	if testing.Short() {
		t.Skip("skipped with -short: a launch waits for what hangs")
	}
	for _, how := range []string{"panics", "hangs"} {
		t.Run(how, func(t *testing.T) {
			r := newRig(t, podrig.Serve...)
			healthy := *r
			before := leaktest.Take()
			pod, panicked, err := r.launchInto("cleanup", how)
			if how == "panics" && panicked != error(errSick) {
				t.Errorf("Launch returned %v, %v and panicked with %v", pod, err, panicked)
			}
			if how == "hangs" && (pod == nil || err != nil) {
				t.Errorf("Launch returned %v, %v", pod, err)
			}
			other, started, err := healthy.L.Ensure(t.Context(), launcher.Spec{Name: "alice"})
			if err != nil || started {
				t.Fatalf("Ensure returned a pod that it has started: %v, and %v", started, err)
			}
			podrig.Ping(t, other)
			mustStop(t, other)
			mustLeaveNothing(t, before)
		})
	}
}

// A strategy that panics where no launch is under way leaves nothing either: Ensure does not
// watch the pod, and Remove has given the name back.
func TestPanicOutsideALaunch(t *testing.T) {
	r := newRig(t, podrig.Serve...)
	pod := r.Launch(podrig.Alice)
	sick := r.L
	sick.Ready = answering{func(context.Context, string) error { panic(errSick) }}
	mustPanic(t, func() { sick.Ensure(t.Context(), podrig.Alice) })
	mustStop(t, pod)

	if err := os.Remove(r.Beside("alice", ".json")); err != nil { // with it Remove need not ask the Resolver
		t.Fatal(err)
	}
	sick = r.L
	sick.Dir = trappedDir{runtimedir.Dir(r.Base), &trap{where: "directory", how: "panics"}}
	mustPanic(t, func() { sick.Remove(t.Context(), "alice") })
	for _, suffix := range []string{".launch", ".pod"} {
		f, err := r.Lock(suffix)
		f.Close()
		if err != nil {
			t.Errorf("after Remove the lock %s is held: %v", suffix, err)
		}
	}
}

// An engine that panics when a launch, Stop or Attach asks it keeps nothing open.
func TestFinderThatPanics(t *testing.T) {
	c := new(cluster)
	l := elsewhere(t, c)
	pod, err := l.Launch(t.Context(), launcher.Spec{Name: "web"})
	if err != nil {
		t.Fatal(err)
	}
	sick := *l
	sick.Starter = slow{c, func() { panic(errSick) }}
	mustPanic(t, func() { sick.Launch(t.Context(), launcher.Spec{Name: "web"}) })
	mustPanic(t, func() { sick.Stop(t.Context(), "web") })
	mustPanic(t, func() { sick.Attach(t.Context(), "web") })
	mustStop(t, pod)
}

// mustPanic calls f, whose strategy is sick, and makes sure that nothing of that is left.
func mustPanic(t *testing.T, f func()) {
	t.Helper()
	before := leaktest.Take()
	if panicked, _ := catch(f); panicked != error(errSick) {
		t.Errorf("it panicked with %v", panicked)
	}
	if left := before.Left(podrig.Ample); left != nil {
		t.Errorf("left behind:\n%s", strings.Join(left, "\n"))
	}
}

// launchInto launches a pod whose launch runs into a trap, and then lets a call
// that hangs go on.
func (r *rig) launchInto(where, how string) (pod *launcher.Pod, panicked any, err error) {
	ctx, cancel := context.WithCancel(r.T.Context())
	defer cancel()
	x := &trap{where, how, cancel, make(chan struct{})}
	x.set(r)
	panicked, _ = catch(func() { pod, err = r.L.Launch(ctx, launcher.Spec{Name: "alice"}) })
	close(x.release)
	return pod, panicked, err
}

// mustLeaveNothing fails the test if there is anything that was not there before,
// and does not go away.
func mustLeaveNothing(t *testing.T, before *leaktest.Snapshot) {
	t.Helper()
	if left := before.Left(podrig.Ample, podrig.Pod); left != nil {
		t.Errorf("left behind:\n%s", strings.Join(left, "\n"))
	}
}
