//go:build linux

package launcher_test

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/uuid"

	"github.com/podlaunch/podlaunch/launcher"
	"github.com/podlaunch/podlaunch/launcher/internal/leaktest"
	"github.com/podlaunch/podlaunch/launcher/internal/podrig"
	"github.com/podlaunch/podlaunch/logsource"
	"github.com/podlaunch/podlaunch/readiness"
	"github.com/podlaunch/podlaunch/runtimedir"
)

// A tape records the calls of an Observer.
type tape struct {
	mu    sync.Mutex
	calls []string // start, stage/name or stage/name!, end
	steps []launcher.StepInfo
	begun []launcher.LaunchInfo
	ends  []launcher.EndInfo
}

// observer returns an Observer that writes on the tape, and calls at, unless it
// is nil, with every entry.
func (r *tape) observer(at func(call string)) *launcher.Observer {
	write := func(call string, add func()) {
		r.mu.Lock()
		r.calls = append(r.calls, call)
		add()
		r.mu.Unlock()
		if at != nil {
			at(call)
		}
	}
	return &launcher.Observer{
		Start: func(ctx context.Context, l launcher.LaunchInfo) context.Context {
			write("start", func() { r.begun = append(r.begun, l) })
			return ctx
		},
		Step: func(_ context.Context, s launcher.StepInfo) {
			call := string(s.Stage) + "/" + s.Name
			if s.Err != nil {
				call += "!"
			}
			write(call, func() { r.steps = append(r.steps, s) })
		},
		End: func(_ context.Context, e launcher.EndInfo) {
			write("end", func() { r.ends = append(r.ends, e) })
		},
	}
}

// read returns the calls so far.
func (r *tape) read() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.calls)
}

// allSteps are the steps of a launch that succeeds.
var allSteps = []string{
	"start/workdir", "dir/base", "resolve/command", "own/claim", "dir/make", "log/open",
	"ready/prepare", "start/process", "ready/probe", "own/record",
}

// upTo returns the calls for a launch that fails in the step called last.
func upTo(last string, more ...string) []string {
	calls := []string{"start"}
	if i := slices.Index(allSteps, last); i >= 0 {
		calls = append(append(calls, allSteps[:i]...), last+"!")
	}
	return append(append(calls, more...), "end")
}

// The Observer sees a launch that succeeds from start to end, each step once, in order,
// and with times that fit into one another.
func TestObserver(t *testing.T) {
	r := newRig(t, "say hello", "listen", "ready", "hang")
	var told tape
	var id uuid.UUID
	r.L.Observer = told.observer(nil)
	r.L.Log = logsource.SourceFunc(func(ctx context.Context, l logsource.Launch) (*logsource.Log, error) {
		id = l.ID
		return logsource.File{}.Open(ctx, l)
	})
	before := time.Now()
	pod := r.Launch(launcher.Spec{Name: "alice"})
	after := time.Now()
	if diff := difference(slices.Concat([]string{"start"}, allSteps, []string{"end"}), told.read()); diff != "" {
		t.Errorf("told (-want +got):\n%s", diff)
	}
	if l := told.begun[0]; l.Name != "alice" || l.ID != id || l.ID == uuid.Nil || l.Began.Before(before) {
		t.Errorf("the start was told as %+v of the launch %v", l, id)
	}
	last := told.begun[0].Began
	for _, s := range told.steps {
		if s.Began.Before(last) || s.Took < 0 {
			t.Errorf("%s/%s began at %v and took %v; what came before had ended at %v", s.Stage, s.Name, s.Began, s.Took, last)
		}
		last = s.Began.Add(s.Took)
	}
	if e := told.ends[0]; e.Pod != pod || e.Err != nil || e.Took > after.Sub(before) || last.Sub(told.begun[0].Began) > e.Took {
		t.Errorf("the end was told as %+v", e)
	}
}

// The Observer sees a failure in the step in which it happened, as the same error that
// Launch returns. What was started is cleared before the end.
func TestObserverOfFailures(t *testing.T) {
	leaktest.Parallel(t)
	sick := errors.New("sick")
	for _, c := range []struct {
		name  string
		steps []string // the pod's
		spec  launcher.Spec
		set   func(r *rig)
		want  []string
	}{
		{name: "refused", spec: launcher.Spec{Name: "../alice"}, want: upTo("")},
		{name: "workdir", spec: launcher.Spec{Name: "alice", Dir: "/nonexistent/dir"}, want: upTo("start/workdir")},
		{name: "base", set: func(r *rig) { r.L.Dir = runtimedir.Dir("relative") }, want: upTo("dir/base")},
		{name: "command", set: func(r *rig) { r.L.Command = launcher.Path("/nonexistent/pod") }, want: upTo("resolve/command")},
		{name: "make", set: func(r *rig) { r.L.Dir = noDir{runtimedir.Dir(r.Base), sick} }, want: upTo("dir/make")},
		{name: "claim", set: func(r *rig) {
			if err := os.Mkdir(filepath.Join(r.Base, ".alice.launch"), 0o700); err != nil {
				r.T.Fatal(err)
			}
			r.T.Cleanup(func() { os.Remove(filepath.Join(r.Base, ".alice.launch")) })
		}, want: upTo("own/claim")},
		{name: "log", set: func(r *rig) {
			r.L.Log = logsource.SourceFunc(func(context.Context, logsource.Launch) (*logsource.Log, error) { return nil, sick })
		}, want: upTo("log/open")},
		{name: "process", set: func(r *rig) {
			r.L.Starter = podrig.StarterFunc(func(context.Context, launcher.StartRequest) (launcher.Process, error) { return nil, sick })
		}, want: upTo("start/process")},
		{name: "probe", steps: []string{"exit 3"}, want: upTo("ready/probe", "ready/clear")},
		{name: "record", steps: []string{"listen", "ready", "hang"}, set: func(r *rig) {
			r.L.Ready = readiness.ProbeFunc(func(context.Context, readiness.Target) (readiness.Endpoint, error) {
				var errs []error
				for _, suffix := range []string{".json", ".launch", ".pod"} { // the name may be another's then
					errs = append(errs, os.Remove(r.Beside("alice", suffix)))
				}
				return readiness.Endpoint{}, errors.Join(errs...)
			})
		}, want: upTo("own/record", "own/clear")},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := newRig(t, c.steps...)
			if c.set != nil {
				c.set(r)
			}
			if c.spec.Name == "" {
				c.spec.Name = "alice"
			}
			var told tape
			r.L.Observer = told.observer(nil)
			e := r.Fail(t.Context(), c.spec)
			if diff := difference(c.want, told.read()); diff != "" {
				t.Errorf("told (-want +got):\n%s", diff)
			}
			if end := told.ends[0]; end.Pod != nil || end.Err != error(e) || end.Took < e.Elapsed {
				t.Errorf("the end was told as %+v, and Launch returned %v", end, e)
			}
			for _, s := range told.steps {
				if s.Err != nil && (s.Stage != e.Stage || !errors.Is(e, s.Err)) {
					t.Errorf("%s/%s has failed with %v, and Launch in stage %s with %v", s.Stage, s.Name, s.Err, e.Stage, e)
				}
			}
		})
	}
}

// A noDir can tell its base, but not make a directory there.
type noDir struct {
	runtimedir.Dir
	err error
}

func (d noDir) RuntimeDir(context.Context, string) (string, error) { return "", d.err }

// What Start returns is the context of the launch: every strategy and every
// call sees what is in it; and nil is no context, but no harm either.
func TestObserverContext(t *testing.T) {
	type key struct{}
	r := newRig(t, "listen", "ready", "hang")
	var mu sync.Mutex
	missing := []string{"command", "baser", "dir", "log", "starter", "probe", "step", "end"}
	look := func(ctx context.Context, who string) {
		mu.Lock()
		defer mu.Unlock()
		if ctx.Value(key{}) == "span" {
			missing = slices.DeleteFunc(missing, func(s string) bool { return s == who })
		}
	}
	command, probe := r.L.Command, readiness.Sequence{readiness.ReadyLine{}, readiness.Socket{}}
	l := launcher.Launcher{
		Command: launcher.CommandResolverFunc(func(ctx context.Context, req launcher.Request) (launcher.Command, error) {
			look(ctx, "command")
			return command.ResolveCommand(ctx, req)
		}),
		Dir: lookingDir{runtimedir.Dir(r.Base), look},
		Log: logsource.SourceFunc(func(ctx context.Context, launch logsource.Launch) (*logsource.Log, error) {
			look(ctx, "log")
			return logsource.File{}.Open(ctx, launch)
		}),
		Starter: podrig.StarterFunc(func(ctx context.Context, req launcher.StartRequest) (launcher.Process, error) {
			look(ctx, "starter")
			return launcher.Local{}.Start(ctx, req)
		}),
		Ready: readiness.ProbeFunc(func(ctx context.Context, target readiness.Target) (readiness.Endpoint, error) {
			look(ctx, "probe")
			return probe.Wait(ctx, target)
		}),
		Timeout: podrig.Ample,
		Observer: &launcher.Observer{
			Start: func(ctx context.Context, _ launcher.LaunchInfo) context.Context {
				return context.WithValue(ctx, key{}, "span")
			},
			Step: func(ctx context.Context, _ launcher.StepInfo) { look(ctx, "step") },
			End:  func(ctx context.Context, _ launcher.EndInfo) { look(ctx, "end") },
		},
	}
	r.L = l
	r.Launch(launcher.Spec{Name: "alice"})
	if len(missing) > 0 {
		t.Errorf("without the value of the context were: %v", missing)
	}
	r.L.Observer = &launcher.Observer{Start: func(context.Context, launcher.LaunchInfo) context.Context { return nil }}
	r.Launch(launcher.Spec{Name: "bob"})
	r.L.Observer = &launcher.Observer{}
	r.Launch(launcher.Spec{Name: "carol"})
}

type lookingDir struct {
	runtimedir.Dir
	look func(context.Context, string)
}

func (d lookingDir) Base(ctx context.Context) (string, error) {
	d.look(ctx, "baser")
	return d.Dir.Base(ctx)
}

func (d lookingDir) RuntimeDir(ctx context.Context, name string) (string, error) {
	d.look(ctx, "dir")
	return d.Dir.RuntimeDir(ctx, name)
}

// The context that Start returns can end the launch.
func TestObserverEndsTheLaunch(t *testing.T) {
	r := newRig(t)
	shed := errors.New("too many launches")
	r.L.Observer = &launcher.Observer{Start: func(ctx context.Context, _ launcher.LaunchInfo) context.Context {
		ctx, cancel := context.WithCancelCause(ctx)
		cancel(shed)
		return ctx
	}}
	podrig.MustBe(t, r.Fail(t.Context(), launcher.Spec{Name: "alice"}), shed)
}

// B33: a strategy that was given up on and returns late is not told after the
// end, nor is anything that comes of it.
func TestObserverOfALateStart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake(t)
		var told tape
		f.l.Observer = told.observer(nil)
		release := make(chan struct{})
		f.l.Starter = podrig.StarterFunc(func(context.Context, launcher.StartRequest) (launcher.Process, error) {
			<-release
			return f.proc, nil
		})
		podrig.MustBe(t, f.mustFail(t, t.Context()), launcher.ErrTimeout)
		want := slices.Concat([]string{"start"}, allSteps[:slices.Index(allSteps, "start/process")], []string{"end"})
		if diff := difference(want, told.read()); diff != "" {
			t.Errorf("told (-want +got):\n%s", diff)
		}
		close(release)
		synctest.Wait()
		if after := told.read(); len(after) != len(want) {
			t.Errorf("told after the end: %v", after[len(want):])
		}
	})
}

// An observer holds the launch up, and also then the end comes last: Step has
// returned before End is called, although the launch was over long ago.
func TestObserverHoldsTheLaunch(t *testing.T) {
	for _, at := range []string{"dir/make", "start/process", "ready/probe!", "end"} {
		t.Run(at, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := newFake(t)
				f.l.Ready = readiness.ReadyLine{}
				if at == "dir/make" {
					f.proc.reaped = 1 // there is none
				}
				var told tape
				busy := false
				f.l.Observer = told.observer(func(call string) {
					if busy {
						t.Errorf("%s is told while the call before is not over", call)
					}
					if call == at {
						busy = true
						time.Sleep(time.Hour)
						busy = false
					}
				})
				began := time.Now()
				e := f.mustFail(t, t.Context())
				if took := time.Since(began); took < time.Hour || e.Leftover != nil {
					t.Errorf("Launch has returned after %v: %v", took, e)
				}
				if calls := told.read(); calls[len(calls)-1] != "end" {
					t.Errorf("told: %v", calls)
				}
				synctest.Wait()
			})
		})
	}
}

// A17, B4, for an observer: it panics, or calls runtime.Goexit, in any of its calls. It
// gets no more calls, and the caller of Launch gets the panic. No pod is left, and the
// name is free. Once the pod is recorded as ready it stays, for others may have it.
func TestObserverPanics(t *testing.T) {
	for _, at := range slices.Concat([]string{"start"}, slices.Compact(slices.Clone(allSteps)), []string{"end", "ready/probe!", "ready/clear"}) {
		for _, goexit := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s goexit=%v", strings.ReplaceAll(at, "/", "-"), goexit), func(t *testing.T) {
				if testing.Short() && goexit && strings.HasPrefix(at, "dir") {
					t.Skip("skipped with -short: it is as in other steps")
				}
				r := newRig(t, "listen", "ready", "hang")
				if strings.HasSuffix(at, "!") || strings.HasSuffix(at, "clear") {
					r.L.Command = podrig.Script("exit 1")
				}
				var told tape
				r.L.Observer = told.observer(func(call string) {
					switch {
					case call != at:
					case goexit:
						runtime.Goexit()
					default:
						panic("the observer is sick")
					}
				})
				before := leaktest.Take()
				panicked, returned := catch(func() { r.L.Launch(t.Context(), launcher.Spec{Name: "alice"}) })
				if returned || (panicked == nil) != goexit {
					t.Errorf("Launch has returned: %v, panicked with: %v", returned, panicked)
				}
				r.L.Observer = nil
				if at == "own/record" || at == "end" {
					pod, err := r.L.Attach(t.Context(), "alice")
					if err != nil {
						t.Fatalf("the pod that was recorded as ready is gone: %v", err)
					}
					podrig.Ping(t, pod)
					mustStop(t, pod)
				}
				if left := before.Left(podrig.Ample, podrig.Pod); left != nil {
					t.Errorf("left behind:\n%s", strings.Join(left, "\n"))
				}
				if calls := told.read(); calls[len(calls)-1] != at {
					t.Errorf("told after the panic: %v", calls)
				}
				r.Relaunch("alice")
			})
		}
	}
}

// The panic of an observer ends the launch then, not at its deadline.
func TestObserverPanicEndsTheLaunch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake(t)
		f.l.Ready = readiness.ReadyLine{} // it never comes
		f.l.Observer = &launcher.Observer{Step: func(_ context.Context, s launcher.StepInfo) {
			if s.Name == "process" {
				panic("the observer is sick")
			}
		}}
		began := time.Now()
		panicked, _ := catch(func() { f.l.Launch(t.Context(), launcher.Spec{Name: "alice"}) })
		if took := time.Since(began); panicked == nil || took >= f.l.Timeout {
			t.Errorf("Launch has panicked with %v, after %v", panicked, took)
		}
	})
}

// A launch that does not return because a strategy panics has an end all the
// same.
func TestObserverOfAPanic(t *testing.T) {
	for stage, set := range map[launcher.Stage]func(r *rig){
		launcher.StageResolve: func(r *rig) {
			r.L.Command = launcher.CommandResolverFunc(func(context.Context, launcher.Request) (launcher.Command, error) { panic("sick") })
		},
		launcher.StageReady: func(r *rig) {
			r.L.Ready = readiness.ProbeFunc(func(context.Context, readiness.Target) (readiness.Endpoint, error) { panic("sick") })
		},
	} {
		t.Run(string(stage), func(t *testing.T) {
			r := newRig(t, "hang")
			set(r)
			var told tape
			r.L.Observer = told.observer(nil)
			if panicked, _ := catch(func() { r.L.Launch(t.Context(), launcher.Spec{Name: "alice"}) }); panicked != "sick" {
				t.Errorf("the panic is %v", panicked)
			}
			if len(told.ends) != 1 || told.ends[0].Pod != nil {
				t.Fatalf("the ends are told as %+v", told.ends)
			}
			var e *launcher.Error
			if !errors.As(told.ends[0].Err, &e) || e.Stage != stage || e.Name != "alice" || e.Elapsed <= 0 {
				t.Errorf("the end is told as %+v", told.ends[0].Err)
			}
			podrig.MustSay(t, told.ends[0].Err, "panicked")
		})
	}
}

// Ensure is observed where it launches. Of many that ask at once, all that is
// begun is ended, and one has launched the pod.
func TestObserverOfEnsure(t *testing.T) {
	r := newRig(t, "listen", "ready", "hang")
	var told tape
	r.L.Observer = told.observer(nil)
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			pod, _, err := r.L.Ensure(t.Context(), launcher.Spec{Name: "alice"})
			if err != nil {
				t.Error(err)
				return
			}
			t.Cleanup(pod.Release)
		})
	}
	all.Wait()
	ready := 0
	for _, e := range told.ends {
		if e.Pod != nil {
			ready++
		} else if !errors.Is(e.Err, launcher.ErrRunning) {
			t.Errorf("an end was told with %v", e.Err)
		}
	}
	if ready != 1 || len(told.begun) != len(told.ends) {
		t.Errorf("of %d launches %d have ended, and %d of them with a pod", len(told.begun), len(told.ends), ready)
	}

	begun := len(told.begun)
	pod, started, err := r.L.Ensure(t.Context(), launcher.Spec{Name: "alice"})
	if err != nil || started || len(told.begun) != begun {
		t.Errorf("Ensure of a pod that runs returned %v, %v; and it was told of %d launches more", started, err, len(told.begun)-begun)
	}
	mustStop(t, pod)
	if _, err := r.L.Attach(t.Context(), "alice"); !errors.Is(err, fs.ErrNotExist) || len(told.begun) != begun {
		t.Errorf("Attach returned %v; and it was told of %d launches more", err, len(told.begun)-begun)
	}
}

// Step gets the reason of a failure alone, as an error that nobody changes any more: it
// can be read at any time.
func TestStepIsToldTheReason(t *testing.T) {
	r := newRig(t, "exit 3")
	var told error
	said := make(chan string, 1)
	r.L.Observer = &launcher.Observer{Step: func(_ context.Context, s launcher.StepInfo) {
		if s.Name == "probe" {
			told = s.Err
			go func() { said <- s.Err.Error() }()
		}
	}}
	e := r.Fail(t.Context(), podrig.Alice)
	if s := <-said; told != e.Err || s != e.Err.Error() {
		t.Errorf("the step is told to have failed with %T, %s; want %T, %v", told, s, e.Err, e.Err)
	}
}
