//go:build linux

package launcher_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/podlaunch/podlaunch/launcher"
	"github.com/podlaunch/podlaunch/launcher/internal/leaktest"
	"github.com/podlaunch/podlaunch/launcher/internal/podrig"
	"github.com/podlaunch/podlaunch/logsource"
	"github.com/podlaunch/podlaunch/readiness"
	"github.com/podlaunch/podlaunch/runtimedir"
)

// A preparer is a probe that has something to do before the start. What its
// function returns is the probe of the launch; nil stands for the default.
type preparer func(ctx context.Context, s *readiness.Setup) (readiness.Probe, error)

// Prepare implements readiness.Preparer.
func (p preparer) Prepare(ctx context.Context, s *readiness.Setup) (readiness.Probe, error) {
	probe, err := p(ctx, s)
	if probe == nil && err == nil {
		probe = readiness.Sequence{readiness.ReadyLine{}, readiness.Socket{}}
	}
	return probe, err
}

// Wait is never called: the launcher waits for what Prepare has returned.
func (p preparer) Wait(context.Context, readiness.Target) (readiness.Endpoint, error) {
	return readiness.Endpoint{}, errors.New("the probe was not prepared")
}

// What a probe adds to the setup reaches the pod: the variables go over those
// it has anyway, the files are at their descriptors, what is left out is closed,
// and the launcher has closed its own by the time Launch returns.
func TestSetupReachesThePod(t *testing.T) {
	r := newRig(t)
	fds, env := filepath.Join(r.Base, "fds"), filepath.Join(r.Base, "env")
	r.L.Command = podrig.Script("fds "+fds, "env "+env, "listen", "ready", "hang")
	var files []*os.File
	r.L.Ready = readiness.Sequence{preparer(func(_ context.Context, s *readiness.Setup) (readiness.Probe, error) {
		if s.Name != "alice" || s.RuntimeDir != r.Dir("alice") {
			t.Errorf("the setup is of %q in %q", s.Name, s.RuntimeDir)
		}
		s.Env = append(s.Env, "COLOUR=blue", "SHAPE=round")
		for fd, name := range map[int]string{3: "three", 5: "five", 18: "eighteen"} {
			f, err := os.Create(filepath.Join(r.Base, name))
			if err != nil {
				return nil, err
			}
			files = append(files, f)
			if err := s.AddFileAt(fd, f); err != nil {
				return nil, err
			}
		}
		return nil, nil
	})}
	r.Launch(launcher.Spec{Name: "alice", Env: []string{"COLOUR=red", "SIZE=big"}})
	for _, f := range files {
		if _, err := f.Stat(); !errors.Is(err, os.ErrClosed) {
			t.Errorf("%s is still open here: %v", f.Name(), err)
		}
	}
	if vars := variables(t, env); vars["COLOUR"] != "blue" || vars["SHAPE"] != "round" || vars["SIZE"] != "big" {
		t.Errorf("the pod's environment is %q", vars)
	}
	open := descriptors(t, fds)
	for fd, name := range map[string]string{"3": "three", "5": "five", "18": "eighteen"} {
		if got := filepath.Base(open[fd]); got != name {
			t.Errorf("descriptor %s is %q, want %q", fd, open[fd], name)
		}
		delete(open, fd)
	}
	for fd, target := range open {
		if n, _ := strconv.Atoi(fd); n > 2 && n != 20 && strings.HasPrefix(target, r.Base) {
			t.Errorf("descriptor %s is %q", fd, target)
		}
	}
}

// Spec.Files reach the pod at their places, beside what the probe puts there, and stay
// open here.
func TestSpecFiles(t *testing.T) {
	r := newRig(t)
	fds := filepath.Join(r.Base, "fds")
	r.L.Command = podrig.Script("fds "+fds, "listen", "ready", "hang")
	r.L.Ready = readiness.Sequence{preparer(func(_ context.Context, s *readiness.Setup) (readiness.Probe, error) {
		f, err := os.Create(filepath.Join(r.Base, "probe"))
		if err != nil {
			return nil, err
		}
		return nil, s.AddFileAt(4, f)
	})}
	files := make([]*os.File, 17)
	for at, name := range map[int]string{0: "three", 16: "nineteen"} {
		f, err := os.Create(filepath.Join(r.Base, name))
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		files[at] = f
	}
	r.Launch(launcher.Spec{Name: "alice", Files: files})
	open := descriptors(t, fds)
	for fd, name := range map[string]string{"3": "three", "4": "probe", "19": "nineteen", "20": ".alice.pod"} {
		if got := filepath.Base(open[fd]); got != name {
			t.Errorf("descriptor %s is %q, want %q", fd, open[fd], name)
		}
	}
	for _, at := range []int{0, 16} {
		if _, err := files[at].Stat(); err != nil {
			t.Errorf("Files[%d]: %v", at, err)
		}
	}
}

// Spec.Files that cannot be handed over are refused before a process is started.
func TestSpecFilesRefused(t *testing.T) {
	leaktest.Parallel(t)
	null, err := os.Open(os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	defer null.Close()
	closed, err := os.Open(os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	closed.Close()
	for _, c := range []struct {
		name  string
		files []*os.File
		probe readiness.Probe
		says  string
	}{
		{"too many", make([]*os.File, 18), nil, "Files has 18 files, the limit is 17"},
		{"closed", []*os.File{nil, closed}, nil, "Files[1] is closed"},
		{"never opened", []*os.File{new(os.File)}, nil, "Files[0] is closed"},
		{"where NotifyFD writes", []*os.File{null}, readiness.NotifyFD{}, "Files[0] is to be descriptor 3 of the pod, where the probe has put a file"},
		{"where Listener listens", []*os.File{null}, readiness.Listener{}, "Files[0] is to be descriptor 3 of the pod, where the probe has put a file"},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := newRig(t, podrig.Serve...)
			r.L.Ready = c.probe
			e := r.Fail(t.Context(), launcher.Spec{Name: "alice", Files: c.files})
			podrig.MustBe(t, e, launcher.ErrInvalidSpec)
			podrig.MustSay(t, e, c.says)
			if e.PID != 0 {
				t.Errorf("pid %d was started", e.PID)
			}
			r.L.Ready = nil // for what the rig launches now
		})
	}
}

// variables reads what the fake pod's step env has written.
func variables(t *testing.T, path string) map[string]string {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	vars := make(map[string]string)
	for _, e := range strings.Split(string(data), "\x00") {
		name, value, _ := strings.Cut(e, "=")
		vars[name] = value
	}
	return vars
}

// descriptors reads what the fake pod's step fds has written.
func descriptors(t *testing.T, path string) map[string]string {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	open := make(map[string]string)
	for line := range strings.Lines(string(data)) {
		fd, target, _ := strings.Cut(strings.TrimSuffix(line, "\n"), " ")
		open[fd] = target
	}
	return open
}

// The cleanups of a launch are called once, the last first, and the files are closed,
// before Launch returns, with any outcome of the launch.
func TestSetupIsCleanedUp(t *testing.T) {
	leaktest.Parallel(t)
	refusal := errors.New("there is no room")
	for _, c := range []struct {
		name   string
		steps  []string
		meddle func(r *rig, s *readiness.Setup) error // in Prepare
		ready  bool
		stage  launcher.Stage
		is     error
	}{
		{name: "ready", steps: []string{"listen", "ready", "hang"}, ready: true},
		{name: "exited", steps: []string{"exit 3"}, stage: launcher.StageReady, is: launcher.ErrExitedEarly},
		{name: "failed", steps: []string{"fail no model", "hang"}, stage: launcher.StageReady, is: readiness.ErrFailed},
		{name: "not started", steps: []string{"hang"}, stage: launcher.StageStart, is: fs.ErrNotExist,
			meddle: func(r *rig, _ *readiness.Setup) error { return os.Remove(r.Dir("program")) }},
		{name: "not prepared", stage: launcher.StageReady, is: refusal,
			meddle: func(*rig, *readiness.Setup) error { return refusal }},
		{name: "a bad variable", stage: launcher.StageReady, is: syscall.EINVAL,
			meddle: func(_ *rig, s *readiness.Setup) error { s.Env = append(s.Env, "A=\x00"); return nil }},
		{name: "too many files", stage: launcher.StageReady,
			meddle: func(_ *rig, s *readiness.Setup) error { s.Files = append(s.Files, make([]*os.File, 16)...); return nil }},
		{name: "a bad name of a variable", stage: launcher.StageReady,
			meddle: func(_ *rig, s *readiness.Setup) error { s.PIDEnv = []string{"A;rm -rf /"}; return nil }},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := newRig(t)
			program := r.Dir("program")
			if err := os.Link(podrig.Pod, program); err != nil {
				t.Fatal(err)
			}
			r.L.Command = launcher.CommandResolverFunc(func(ctx context.Context, req launcher.Request) (launcher.Command, error) {
				cmd, err := podrig.Script(c.steps...).ResolveCommand(ctx, req)
				cmd.Path = program
				return cmd, err
			})
			var order []int
			var file *os.File
			r.L.Ready = preparer(func(_ context.Context, s *readiness.Setup) (readiness.Probe, error) {
				s.Cleanup(func() { order = append(order, 1) })
				s.Cleanup(func() { order = append(order, 2) })
				var err error
				if file, err = os.Open(os.DevNull); err != nil {
					return nil, err
				}
				if _, err = s.AddFile(file); err == nil && c.meddle != nil {
					err = c.meddle(r, s)
				}
				return nil, err
			})
			if c.ready {
				r.Launch(launcher.Spec{Name: "alice"})
			} else if e := r.Fail(t.Context(), launcher.Spec{Name: "alice"}); e.Stage != c.stage || c.is != nil && !errors.Is(e, c.is) {
				t.Errorf("failed in stage %q: %v", e.Stage, e)
			}
			if !slices.Equal(order, []int{2, 1}) {
				t.Errorf("the cleanups were called in the order %v", order)
			}
			if _, err := file.Stat(); !errors.Is(err, os.ErrClosed) {
				t.Errorf("the file is still open: %v", err)
			}
			if !c.ready {
				r.Relaunch("alice")
			}
		})
	}
}

// A cleanup that has to wait for a Prepare which hangs is called when that
// returns; the launch does not wait for it.
func TestLatePrepareIsCleanedUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		release, cleaned := make(chan struct{}), make(chan struct{})
		f := newFake(t)
		f.l.Ready = preparer(func(_ context.Context, s *readiness.Setup) (readiness.Probe, error) {
			<-release
			s.Cleanup(func() { close(cleaned) })
			return nil, nil
		})
		began := time.Now()
		e := f.mustFail(t, t.Context())
		if took := time.Since(began); took > f.l.Timeout+500*time.Millisecond || e.Leftover == nil || e.Stage != launcher.StageReady {
			t.Errorf("after %v: %v", took, e)
		}
		podrig.MustBe(t, e, launcher.ErrTimeout)
		close(release)
		<-cleaned
		f.proc.end(launcher.Exit{Known: true})
		f.proc.Reap(t.Context()) // it was never started
	})
}

// If a cleanup panics, the others are called all the same, with any outcome of the
// launch.
func TestCleanupsAfterOneThatPanics(t *testing.T) {
	for _, step := range []string{"hang", "exit 3"} {
		t.Run(step, func(t *testing.T) {
			r := newRig(t, "listen", "ready", step)
			if step != "hang" {
				r.L.Command = podrig.Script(step)
			}
			var called []int
			r.L.Ready = preparer(func(_ context.Context, s *readiness.Setup) (readiness.Probe, error) {
				s.Cleanup(func() { called = append(called, 1) })
				s.Cleanup(func() { panic(errSick) })
				s.Cleanup(func() { called = append(called, 3) })
				return nil, nil
			})
			if panicked, _ := catch(func() { r.L.Launch(t.Context(), launcher.Spec{Name: "alice"}) }); panicked != error(errSick) {
				t.Errorf("the panic is %v", panicked)
			}
			if !slices.Equal(called, []int{3, 1}) {
				t.Errorf("called were %v", called)
			}
			if pod, err := r.L.Attach(t.Context(), "alice"); err == nil {
				mustStop(t, pod)
			}
		})
	}
}

// A panic in Prepare goes on in the caller, and what was made before it is
// cleared.
func TestPrepareThatPanics(t *testing.T) {
	r := newRig(t)
	cleaned := false
	r.L.Ready = preparer(func(_ context.Context, s *readiness.Setup) (readiness.Probe, error) {
		s.Cleanup(func() { cleaned = true })
		panic("no pipes")
	})
	defer func() {
		if v := recover(); v != "no pipes" || !cleaned {
			t.Errorf("recovered %v, cleaned up: %v", v, cleaned)
		}
	}()
	r.L.Launch(t.Context(), launcher.Spec{Name: "alice"})
}

// A cleanup that panics keeps no other from being called, and the panic goes on in the
// caller. A pod that is ready stays.
func TestEveryCleanupIsCalled(t *testing.T) {
	for _, ready := range []bool{true, false} {
		t.Run(fmt.Sprintf("ready %v", ready), func(t *testing.T) {
			steps := podrig.Serve
			if !ready {
				steps = []string{"exit 3"}
			}
			r := newRig(t, steps...)
			cleaned := false
			r.L.Ready = preparer(func(_ context.Context, s *readiness.Setup) (readiness.Probe, error) {
				s.Cleanup(func() { cleaned = true })
				s.Cleanup(func() { panic("boom") })
				return nil, nil
			})
			panicked, returned := catch(func() { r.L.Launch(context.Background(), podrig.Alice) })
			if returned || panicked != "boom" {
				t.Errorf("Launch has returned: %v, panicked with: %v", returned, panicked)
			}
			if !cleaned {
				t.Error("the other cleanup was not called")
			}
			if ready {
				pod, err := r.L.Attach(t.Context(), "alice")
				if err != nil {
					t.Fatal(err)
				}
				if err := pod.Stop(t.Context()); err != nil {
					t.Error(err)
				}
			}
		})
	}
}

// A cleanup that hangs holds a pod that is ready up until the deadline. If it panics
// later, when Launch has returned, that is logged.
func TestLatePanicOfACleanupIsLogged(t *testing.T) {
	for _, ready := range []bool{true, false} {
		t.Run(fmt.Sprintf("ready=%v", ready), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { latePanicOfACleanup(t, ready) })
		})
	}
}

func latePanicOfACleanup(t *testing.T, ready bool) {
	f := newFake(t)
	var out strings.Builder
	var mu sync.Mutex
	f.l.Logger = hclog.New(&hclog.LoggerOptions{Output: &out, Mutex: &mu})
	release := make(chan struct{})
	f.l.Ready = preparer(func(_ context.Context, s *readiness.Setup) (readiness.Probe, error) {
		s.Cleanup(func() { <-release; panic("late boom") })
		return readiness.ReadyLine{}, nil
	})
	if ready {
		f.log.write("INSOMNIA-READY\talice\t/sock\n")
	}
	pod, err := f.l.Launch(t.Context(), launcher.Spec{Name: "alice"})
	if ready != (err == nil) {
		t.Fatal(err)
	}
	close(release)
	synctest.Wait()
	if !strings.Contains(out.String(), "late boom") {
		t.Errorf("logged: %s", out.String())
	}
	if pod != nil {
		mustStop(t, pod)
	}
}

// The deadline is moved so that the time asked for remains, never to an earlier
// instant, and never past the hard limit; the message says so.
func TestExtend(t *testing.T) {
	leaktest.Parallel(t)
	type ask struct{ at, more time.Duration }
	for _, c := range []struct {
		name         string
		timeout, max time.Duration
		asks         []ask
		want         time.Duration
		says         string
	}{
		{"not asked for", 0, 0, nil, 20 * time.Second, "within 20s"},
		{"longer", 0, 0, []ask{{15 * time.Second, time.Minute}}, 75 * time.Second, "within 1m15s, to which it had extended 20s itself"},
		{"twice", 0, 0, []ask{{5 * time.Second, 20 * time.Second}, {24 * time.Second, 10 * time.Second}}, 34 * time.Second, "within 34s, to which"},
		{"not to an earlier instant", 0, 0, []ask{{time.Second, time.Second}}, 20 * time.Second, "within 20s"},
		{"past the limit", 0, 30 * time.Second, []ask{{time.Second, 1<<63 - 1}}, 30 * time.Second, "within 30s, to which it had extended 20s itself"},
		{"past the default limit", 0, 0, []ask{{time.Second, time.Hour}}, launcher.DefaultMaxTimeout, "within 10m0s, to which"},
		{"a limit that leaves nothing", 0, time.Second, []ask{{time.Second, time.Hour}}, 20 * time.Second, "within 20s"},
		{"less than nothing", 0, 0, []ask{{time.Second, -time.Hour}}, 20 * time.Second, "within 20s"},
		{"the caller's deadline alone", -1, 0, []ask{{time.Second, time.Hour}}, time.Minute, "before the caller's deadline"},
		{"the caller's deadline is earlier", 0, 0, []ask{{time.Second, time.Hour}}, time.Minute, "before the caller's deadline"},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := newFake(t)
				f.l.Timeout, f.l.MaxTimeout = c.timeout, c.max
				var late func(time.Duration)
				f.l.Ready = preparer(func(_ context.Context, s *readiness.Setup) (readiness.Probe, error) {
					late = s.Extend
					return readiness.ProbeFunc(func(ctx context.Context, _ readiness.Target) (readiness.Endpoint, error) {
						began := time.Now()
						for _, a := range c.asks {
							time.Sleep(a.at - time.Since(began))
							s.Extend(a.more)
						}
						if at, ok := ctx.Deadline(); !ok || at.Sub(began) != c.want {
							t.Errorf("the context's deadline is after %v, want %v", at.Sub(began), c.want)
						}
						<-ctx.Done()
						return readiness.Endpoint{}, context.Cause(ctx)
					}), nil
				})
				ctx := t.Context()
				if strings.Contains(c.name, "caller's") {
					var cancel context.CancelFunc
					ctx, cancel = context.WithTimeout(ctx, time.Minute)
					defer cancel()
				}
				e := f.mustFail(t, ctx)
				if e.Elapsed != c.want {
					t.Errorf("the launch took %v, want %v", e.Elapsed, c.want)
				}
				podrig.MustBe(t, e, launcher.ErrTimeout, context.DeadlineExceeded)
				podrig.MustSay(t, e, c.says)
				late(time.Hour)
			})
		})
	}
}

// shows is a probe that gives its setup's Status to f, and is ready then.
func shows(f func(status func(string))) preparer {
	return func(_ context.Context, s *readiness.Setup) (readiness.Probe, error) {
		return readiness.ProbeFunc(func(context.Context, readiness.Target) (readiness.Endpoint, error) {
			f(s.Status)
			return readiness.Endpoint{}, nil
		}), nil
	}
}

// Statuses are shown in the order in which they came, all of them, also those
// that the probe has from the first moment on, or from before the start.
func TestStatusIsShown(t *testing.T) {
	for range 100 {
		f := newFake(t)
		var want, got []string
		f.l.Ready = preparer(func(_ context.Context, s *readiness.Setup) (readiness.Probe, error) {
			say := func(text string) {
				want = append(want, text)
				s.Status(text)
			}
			say("preparing")
			return readiness.ProbeFunc(func(context.Context, readiness.Target) (readiness.Endpoint, error) {
				for i := range 20 {
					say(fmt.Sprint(i))
				}
				return readiness.Endpoint{}, nil
			}), nil
		})
		pod, err := f.l.Launch(t.Context(), launcher.Spec{Name: "alice", Progress: func(line string) { got = append(got, line) }})
		if err != nil {
			t.Fatal(err)
		}
		if !slices.Equal(got, want) {
			t.Fatalf("shown: %q, want %q", got, want)
		}
		mustStop(t, pod)
	}
}

// Statuses and lines come one at a time, from any number of goroutines. None comes once
// Launch has returned, even if a goroutine still has something to say.
func TestStatusIsOneAtATime(t *testing.T) {
	leaktest.Parallel(t)
	for range 50 {
		synctest.Test(t, statusIsOneAtATime)
	}
}

// statusIsOneAtATime is about one launch. In a bubble, where no time passes while
// somebody speaks: the launch does not wait for ever for those who do without end.
func statusIsOneAtATime(t *testing.T) {
	f := newFake(t)
	var calls, returned atomic.Int32
	over := make(chan struct{})
	var speakers sync.WaitGroup
	f.l.Ready = shows(func(status func(string)) {
		for range 4 {
			speakers.Go(func() {
				for {
					select {
					case <-over:
						return
					default:
						status("and on")
						f.log.write("and on\n")
					}
				}
			})
		}
	})
	pod, err := f.l.Launch(t.Context(), launcher.Spec{Name: "alice", Progress: func(string) {
		if calls.Add(1) != 1 {
			t.Error("two calls at once")
		}
		if returned.Load() != 0 {
			t.Error("a call after Launch has returned")
		}
		runtime.Gosched()
		if returned.Load() != 0 {
			t.Error("a call was running when Launch returned")
		}
		calls.Add(-1)
	}})
	returned.Store(1)
	close(over)
	speakers.Wait()
	if err != nil {
		t.Fatal(err)
	}
	mustStop(t, pod)
}

// A callback that blocks does not block who has a status, nor the launch; what
// nobody got is counted.
func TestStatusDoesNotBlock(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake(t)
		const many = 1000
		said := false
		f.l.Ready = preparer(func(_ context.Context, s *readiness.Setup) (readiness.Probe, error) {
			return readiness.ProbeFunc(func(ctx context.Context, _ readiness.Target) (readiness.Endpoint, error) {
				began := time.Now()
				for range many {
					s.Status("and on")
				}
				said = time.Since(began) == 0
				<-ctx.Done()
				return readiness.Endpoint{}, context.Cause(ctx)
			}), nil
		})
		release := make(chan struct{})
		calls := 0
		_, err := f.l.Launch(t.Context(), launcher.Spec{Name: "alice", Progress: func(string) {
			calls++
			<-release
		}})
		var e *launcher.Error
		if !errors.As(err, &e) || e.Leftover == nil || !said || e.Elapsed > f.l.Timeout+time.Second {
			t.Errorf("said all of it at once: %v; %v", said, err)
		} else if e.Dropped+1 != many {
			t.Errorf("%d of %d were dropped", e.Dropped, many)
		}
		close(release)
		synctest.Wait()
		if calls != 1 {
			t.Errorf("%d calls, of them %d after Launch had returned", calls, calls-1)
		}
	})
}

// A callback that panics with a status ends the pod, and the panic goes on in
// the caller.
func TestStatusWithACallbackThatPanics(t *testing.T) {
	r := newRig(t, "hang")
	pid := filepath.Join(r.Base, "pid")
	r.L.Command = podrig.Script("pid "+pid, "hang")
	r.L.Ready = preparer(func(_ context.Context, s *readiness.Setup) (readiness.Probe, error) {
		return readiness.ProbeFunc(func(ctx context.Context, target readiness.Target) (readiness.Endpoint, error) {
			s.Status("boo")
			<-ctx.Done()
			return readiness.Endpoint{}, context.Cause(ctx)
		}), nil
	})
	defer func() {
		if v := recover(); v != "frightened by boo" {
			t.Errorf("recovered %v", v)
		}
		r.Relaunch("alice")
	}()
	r.L.Launch(t.Context(), launcher.Spec{Name: "alice", Progress: func(line string) { panic("frightened by " + line) }})
	t.Error("Launch has returned")
}

// The panic of a callback is not lost where the log cannot be read.
func TestStatusWithACallbackThatPanicsAndALogThatHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake(t)
		release := make(chan struct{})
		f.l.Log = logsource.SourceFunc(func(context.Context, logsource.Launch) (*logsource.Log, error) {
			return &logsource.Log{Follow: func(context.Context) (io.ReadCloser, error) {
				<-release
				return nil, fs.ErrClosed
			}}, nil
		})
		f.l.Ready = shows(func(status func(string)) { status("boo") })
		panicked, returned := catch(func() {
			_, err := f.l.Launch(t.Context(), launcher.Spec{Name: "alice", Progress: func(string) { panic("boom") }})
			t.Logf("Launch returned %v", err)
		})
		if returned || panicked != "boom" {
			t.Errorf("Launch has returned: %v, panicked with: %v", returned, panicked)
		}
		f.proc.end(launcher.Exit{Known: true})
		close(release)
	})
}

// PIDEnv: the variable holds the pod's own pid. The launcher has recorded the same pid,
// and finds the pod by it. Arguments pass the shell as they are.
func TestPIDEnv(t *testing.T) {
	r := newRig(t)
	env, pid, args := filepath.Join(r.Base, "env"), filepath.Join(r.Base, "pid"), filepath.Join(r.Base, "args")
	r.L.Command = podrig.Script("env "+env, "pid "+pid, "args "+args, "listen", "ready", "hang")
	r.L.Ready = preparer(func(_ context.Context, s *readiness.Setup) (readiness.Probe, error) {
		s.PIDEnv = append(s.PIDEnv, "LISTEN_PID", "MY_PID")
		return nil, nil
	})
	odd := []string{"", "a b", "$HOME `id` \"'\\", "-c", "*", "new\nline", "\xff"}
	pod := r.Launch(launcher.Spec{Name: "alice", Args: odd, Env: append(os.Environ(), "LISTEN_PID=1", "ODD=$HOME \n`id`\xff'\"")})
	own := strconv.Itoa(pod.PID())
	vars := variables(t, env)
	if vars["LISTEN_PID"] != own || vars["MY_PID"] != own || vars["ODD"] != "$HOME \n`id`\xff'\"" {
		t.Errorf("the pod is %s, and is told %q and %q; ODD is %q", own, vars["LISTEN_PID"], vars["MY_PID"], vars["ODD"])
	}
	if data, err := os.ReadFile(pid); string(data) != own {
		t.Errorf("the pod says that it is %s, %v; the launcher has %s", data, err, own)
	}
	if data, err := os.ReadFile(args); string(data) != strings.Join(odd, "\x00") {
		t.Errorf("the arguments are %q, %v", data, err)
	}
	again, err := r.L.Attach(t.Context(), "alice")
	if err != nil {
		t.Fatal(err)
	}
	defer again.Release()
	if again.PID() != pod.PID() {
		t.Errorf("attached to %d, the pod is %d", again.PID(), pod.PID())
	}
	podrig.Ping(t, again)
}

// A program that cannot be executed is an error of the start, or has exited
// early at the latest, also when a shell stands between.
func TestPIDEnvOfAProgramThatCannotBeExecuted(t *testing.T) {
	leaktest.Parallel(t)
	for _, c := range []struct {
		name, text string
		mode       os.FileMode
		is         error
		says       string
	}{
		{"missing", "", 0, fs.ErrNotExist, "no such file"},
		{"not executable", "#!/bin/sh\n", 0o600, nil, ""},
		{"no interpreter", "#!/nonexistent/interpreter\n", 0o700, launcher.ErrExitedEarly, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := newRig(t)
			program := r.Dir("program")
			if c.mode != 0 {
				if err := os.WriteFile(program, []byte(c.text), c.mode); err != nil {
					t.Fatal(err)
				}
			}
			r.L.Command = launcher.CommandResolverFunc(func(context.Context, launcher.Request) (launcher.Command, error) {
				return launcher.Command{Path: program}, nil
			})
			r.L.Ready = preparer(func(_ context.Context, s *readiness.Setup) (readiness.Probe, error) {
				s.PIDEnv = []string{"LISTEN_PID"}
				return nil, nil
			})
			e := r.Fail(t.Context(), launcher.Spec{Name: "alice"})
			if c.is == nil {
				c.is = syscall.EACCES
			}
			podrig.MustBe(t, e, c.is)
			podrig.MustSay(t, e, program, c.says)
		})
	}
}

// A Starter that is asked for variables it cannot set refuses, and a default
// one is asked for none.
func TestPIDEnvReachesTheStarter(t *testing.T) {
	var asked [][]string
	refusal := errors.New("the engine tells no pid beforehand")
	l := launcher.Launcher{
		Command: launcher.Exec("/bin/sh"),
		Dir:     runtimedir.Dir(t.TempDir()),
		Starter: podrig.StarterFunc(func(_ context.Context, req launcher.StartRequest) (launcher.Process, error) {
			asked = append(asked, req.PIDEnv)
			return nil, refusal
		}),
	}
	for _, ready := range []readiness.Probe{nil, readiness.Listener{Address: "s"}} {
		l.Ready = ready
		_, err := l.Launch(t.Context(), launcher.Spec{Name: "alice"})
		podrig.MustBe(t, err, refusal)
	}
	if len(asked) != 2 || asked[0] != nil || !slices.Equal(asked[1], []string{"LISTEN_PID"}) {
		t.Errorf("the starter was asked for %q", asked)
	}
}

// What the launcher's own service manager has told the launcher does not reach
// the pod, however the environment was made; what was meant for the pod does.
func TestManagerVariables(t *testing.T) {
	names := []string{"NOTIFY_SOCKET", "LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES", "WATCHDOG_USEC", "WATCHDOG_PID"}
	for _, name := range names {
		t.Setenv(name, "the manager's")
	}
	t.Setenv("ORDINARY", "kept")
	for _, c := range []struct {
		name string
		env  []string // Spec.Env
		more []string // of the probe
		want string   // of each of names
	}{
		{"inherited", nil, nil, ""},
		{"copied", append(os.Environ(), "A=b"), nil, ""},
		{"meant by the caller", each(names, "the caller's"), nil, "the caller's"},
		{"meant by the probe", nil, each(names, "the probe's"), "the probe's"},
		{"the probe's, though the same", nil, each(names, "the manager's"), "the manager's"},
		{"both", each(names, "the caller's"), each(names, "the probe's"), "the probe's"},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := newRig(t)
			path := filepath.Join(r.Base, "env")
			r.L.Command = podrig.Script("env "+path, "listen", "ready", "hang")
			r.L.Ready = preparer(func(_ context.Context, s *readiness.Setup) (readiness.Probe, error) {
				s.Env = c.more
				return nil, nil
			})
			r.Launch(launcher.Spec{Name: "alice", Env: c.env})
			vars := variables(t, path)
			for _, name := range names {
				if got := vars[name]; got != c.want {
					t.Errorf("%s is %q, want %q", name, got, c.want)
				}
			}
			if c.env == nil && vars["ORDINARY"] != "kept" {
				t.Error("an ordinary variable is gone")
			}
		})
	}
}

// W16: a pod learns its name and its directory from the environment, no matter what the
// caller and the probe have put there. With Exec it learns them also from its arguments.
func TestFactsReachThePod(t *testing.T) {
	names := []string{"POD_NAME", "POD_RUNTIME_DIR"}
	for _, name := range names {
		t.Setenv(name, "that of the launcher, which is a pod itself")
	}
	for _, c := range []struct {
		name      string
		env, more []string // of the Spec, of the probe
	}{
		{"inherited", nil, nil},
		{"nothing given", []string{}, nil},
		{"given otherwise", each(names, "the caller's"), each(names, "the probe's")},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := newRig(t)
			r.L.Ready = preparer(func(_ context.Context, s *readiness.Setup) (readiness.Probe, error) {
				s.Env = c.more
				return readiness.ReadyLine{}, nil
			})
			r.L.Command = launcher.Exec("/bin/sh", "-c", `printf 'INSOMNIA-READY\t%s\t%s\n' "$POD_NAME" "$POD_RUNTIME_DIR/sock" >&2; test "$*" = "$POD_RUNTIME_DIR/sock of alice" && read line < "$0"`,
				r.Fifo("never"), "{sock}", "of", "{name}")
			pod := r.Launch(launcher.Spec{Name: "alice", Env: c.env})
			if want := filepath.Join(r.Dir("alice"), "sock"); pod.Endpoint().Address != want {
				t.Errorf("the pod announces %q, want %q", pod.Endpoint().Address, want)
			}
			vars := environ(t, pod.PID())
			for _, want := range []string{"POD_NAME=alice", "POD_RUNTIME_DIR=" + r.Dir("alice")} {
				if !slices.Contains(vars, want) {
					t.Errorf("%s is not in the environment: %q", want, vars)
				}
			}
		})
	}
}

func each(names []string, value string) []string {
	var env []string
	for _, name := range names {
		env = append(env, name+"="+value)
	}
	return env
}

// A pod that asks for more time has it from Ensure, too.
func TestExtendOfEnsure(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake(t)
		f.l.Timeout = 3 * time.Second
		f.l.Ready = preparer(func(_ context.Context, s *readiness.Setup) (readiness.Probe, error) {
			return readiness.ProbeFunc(func(ctx context.Context, _ readiness.Target) (readiness.Endpoint, error) {
				s.Extend(time.Minute)
				select {
				case <-time.After(30 * time.Second):
					return readiness.Endpoint{}, nil
				case <-ctx.Done():
					return readiness.Endpoint{}, context.Cause(ctx)
				}
			}), nil
		})
		pod, started, err := f.l.Ensure(t.Context(), launcher.Spec{Name: "alice"})
		if err != nil || !started {
			t.Fatalf("Ensure returned a pod that it has started: %v, and %v", started, err)
		}
		mustStop(t, pod)
	})
}

// Ensure logs no error when it succeeds.
func TestEnsureLogsNoErrorWhenItSucceeds(t *testing.T) {
	r := newRig(t, podrig.Serve...)
	all := r.records(hclog.Info, func() {
		for i := range 2 {
			pod, started, err := r.L.Ensure(t.Context(), launcher.Spec{Name: "alice"})
			if err != nil || started != (i == 0) {
				t.Fatalf("Ensure returned a pod that it has started: %v, and %v", started, err)
			}
			defer mustStop(t, pod)
		}
	})
	for _, line := range messages(all) {
		if strings.HasPrefix(line, "error") {
			t.Errorf("logged: %v", line)
		}
	}
}
