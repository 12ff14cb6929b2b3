package nomad_test

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"maps"

	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/podlaunch/podlaunch/examples/nomad"
	"github.com/podlaunch/podlaunch/examples/nomad/internal/fakeengine"
	"github.com/podlaunch/podlaunch/launcher"
	"github.com/podlaunch/podlaunch/logsource"
	"github.com/podlaunch/podlaunch/readiness"
)

// announces returns a program that says where the pod is, and runs until it gets
// SIGTERM.
func announces(address string) func(*fakeengine.Task) int {
	return func(task *fakeengine.Task) int {
		task.Say("getting ready")
		name, _, _ := strings.Cut(task.Job, "-")
		task.Say("INSOMNIA-READY\t%s\t%s", name, address)
		select {
		case <-task.Signals:
		case <-task.Done:
		}
		return 0
	}
}

func TestLaunch(t *testing.T) {
	address := server(t)
	e := fakeengine.New(t)
	e.Run = announces(address)
	l := newLauncher(t, engine(t, e.URL()))
	l.Ready = onlyLine
	var lines []string
	pod, err := l.Launch(t.Context(), launcher.Spec{Name: "web", Args: []string{"-c", "echo ${HOME} %{x}"}, Env: []string{"A=1", "A=2"}, Progress: func(line string) { lines = append(lines, line) }})
	if err != nil {
		t.Fatal(err)
	}
	if got := pod.Endpoint(); got != (readiness.Endpoint{Network: "tcp", Address: address}) || pod.PID() != 0 || pod.LogPath() != "" {
		t.Errorf("it is at %v, pid %d, log %q", got, pod.PID(), pod.LogPath())
	}
	if !slices.Equal(lines, []string{"getting ready"}) {
		t.Errorf("it said %q", lines)
	}
	task := e.Tasks()[0]
	if task.Command != "/bin/sh" || !slices.Equal(task.Args, []string{"-c", "echo $${HOME} %%{x}"}) || task.Env["A"] != "2" || task.Env["POD_NAME"] != "web" || len(task.Env) != 4 {
		t.Errorf("the job is %q %q %q", task.Command, task.Args, task.Env)
	}
	place, err := nomad.ReadPlacement(pod.RuntimeDir())
	if err != nil || place.Job != task.Job || place.Node != "here" || place.Addresses["pod"] == "" {
		t.Errorf("the placement is %+v, %v", place, err)
	}
	if err := pod.Stop(t.Context()); err != nil {
		t.Error(err)
	}
	if exit, err := pod.Wait(t.Context()); exit != (launcher.Exit{Known: true}) || err != nil {
		t.Errorf("it ended with %v, %v", exit, err)
	}
	nothingLeft(t, e)
}

// Bad input, and an engine that cannot take the pod: the stage, the reason, and
// the engine's own words.
func TestRefused(t *testing.T) {
	for name, c := range map[string]struct {
		engine func(e *fakeengine.Engine)
		change func(l *launcher.Launcher)
		spec   launcher.Spec
		stage  launcher.Stage
		reason error
		says   []string
		never  string
	}{
		"engine unreachable": {
			engine: func(e *fakeengine.Engine) { e.Down() },
			stage:  launcher.StageStart, reason: nomad.ErrUnreachable, says: []string{"connection refused"},
		},
		"address is none": {
			change: func(l *launcher.Launcher) { l.Starter = nomad.Starter{Engine: nomad.Engine{Address: "here:4646"}} },
			stage:  launcher.StageStart, says: []string{"nomad.Engine.Address", `"here:4646"`}, never: "still there",
		},
		"job refused": {
			engine: func(e *fakeengine.Engine) { e.Refuse = "1 error occurred:\n\t* Job ID contains a space\n\n" },
			stage:  launcher.StageStart, reason: nomad.ErrRefused, says: []string{"1 error occurred: * Job ID contains a space"},
		},
		"no node fits": {
			engine: func(e *fakeengine.Engine) { e.NoRoom = true },
			stage:  launcher.StageStart, reason: nomad.ErrNoRoom,
			says: []string{`constraint "missing drivers" filtered 1 of 2 nodes`, `dimension "memory" exhausted on 1 of 2 nodes`},
		},
		"missing binary": {
			engine: func(e *fakeengine.Engine) { e.Broken = `binary "/bin/sh" could not be found` },
			stage:  launcher.StageStart, reason: nomad.ErrNotStarted, says: []string{`binary "/bin/sh" could not be found`},
		},
		"port label missing": {
			change: func(l *launcher.Launcher) { l.Ready = nomad.Address{Port: "http"} },
			stage:  launcher.StageReady, reason: nomad.ErrNoPort, says: []string{`"http"`, "has these: pod", "Starter.Ports"},
		},
		"a probe that hands files over": {
			change: func(l *launcher.Launcher) { l.Ready = readiness.NotifyFD{} },
			stage:  launcher.StageStart, reason: errors.ErrUnsupported, says: []string{"descriptor 3"},
		},
		"a standard input": {
			spec:  launcher.Spec{StdinOpen: true},
			stage: launcher.StageStart, reason: errors.ErrUnsupported, says: []string{"Spec.StdinOpen"},
		},
		"a stream that is none": {
			change: func(l *launcher.Launcher) { l.Log = nomad.Log{Stream: "stdlog"} },
			stage:  launcher.StageLog, says: []string{"nomad.Log.Stream", `"stdlog"`},
		},
	} {
		t.Run(name, func(t *testing.T) {
			e := fakeengine.New(t)
			l := newLauncher(t, engine(t, e.URL()))
			if c.engine != nil {
				c.engine(e)
			}
			if c.change != nil {
				c.change(l)
			}
			err := failed(t, t.Context(), l, e, c.spec)
			if c.reason != nil {
				mustBe(t, err, c.stage, c.reason)
			} else if err.Stage != c.stage {
				t.Errorf("stage %s, want %s", err.Stage, c.stage)
			}
			mustSay(t, err, c.says...)
			if c.never != "" && strings.Contains(err.Error(), c.never) {
				t.Errorf("it says %q: %v", c.never, err)
			}
		})
	}
}

func TestExitsEarly(t *testing.T) {
	e := fakeengine.New(t)
	e.Run = func(task *fakeengine.Task) int {
		task.Say("cannot, because of this")
		return 3
	}
	for _, mute := range []bool{false, true} { // what is followed may lag behind the end
		e.Change(func() { e.MuteLogs = mute })
		err := failed(t, t.Context(), newLauncher(t, engine(t, e.URL())), e, launcher.Spec{})
		mustBe(t, err, launcher.StageReady, launcher.ErrExitedEarly)
		if err.Exit == nil || *err.Exit != (launcher.Exit{Code: 3, Known: true}) || !slices.Equal(err.Tail, []string{"cannot, because of this"}) {
			t.Errorf("exit %v, tail %q", err.Exit, err.Tail)
		}
	}
}

// A launch that is cancelled leaves no job: before there is an allocation that
// runs, and after.
func TestCancelled(t *testing.T) {
	gone := errors.New("the caller has gone")
	for _, pending := range []bool{true, false} {
		e := fakeengine.New(t)
		e.Pending = pending
		l := newLauncher(t, engine(t, e.URL()))
		l.Ready = onlyLine
		ctx, cancel := context.WithCancelCause(t.Context())
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			e.Await(func() bool { return len(e.Tasks()) == 1 && (pending || e.Streams() == 1) })
			cancel(gone)
		}()
		err := failed(t, ctx, l, e, launcher.Spec{})
		<-ended
		mustBe(t, err, launcher.StageReady, gone)
	}
}

func TestTimeout(t *testing.T) {
	e := fakeengine.New(t)
	e.Run = func(task *fakeengine.Task) int {
		task.Say("still at it")
		<-task.Done // it minds no SIGTERM
		return 0
	}
	l := newLauncher(t, engine(t, e.URL()))
	ctx, cancel := context.WithCancelCause(t.Context())
	defer cancel(nil)
	spec := launcher.Spec{Progress: func(string) { cancel(context.DeadlineExceeded) }}
	err := failed(t, ctx, l, e, spec)
	mustBe(t, err, launcher.StageReady, context.DeadlineExceeded)
	mustSay(t, err, "still waiting for", "ready line", "an answer on "+e.Host+":20000")
	if !slices.Equal(err.Tail, []string{"still at it"}) {
		t.Errorf("tail %q", err.Tail)
	}
}

// The log is cut, or brings nothing but heartbeats, or lags: the address answers.
func TestAddressWinsOverTheLine(t *testing.T) {
	e := fakeengine.New(t)
	e.MuteLogs = true
	e.Run = announces(server(t))
	address := server(t)
	l := newLauncher(t, engine(t, e.URL()))
	pod, err := l.Launch(t.Context(), launcher.Spec{Name: "web", Env: []string{"FAKE_ADDR=" + address}})
	if err != nil {
		t.Fatal(err)
	}
	if pod.Endpoint().Address != address {
		t.Errorf("it is at %v, want %s", pod.Endpoint(), address)
	}
	if err := pod.Stop(t.Context()); err != nil {
		t.Error(err)
	}
	nothingLeft(t, e)
}

func TestCutStream(t *testing.T) {
	e := fakeengine.New(t)
	e.CutLogs = 7
	e.Run = announces(server(t))
	l := newLauncher(t, engine(t, e.URL()))
	l.Ready = onlyLine
	pod, err := l.Launch(t.Context(), launcher.Spec{Name: "web"})
	if err != nil {
		t.Fatal(err)
	}
	if n := e.Calls()["GET /v1/client/fs/logs/{id}"]; n < 4 {
		t.Errorf("the log was opened %d times", n)
	}
	if err := pod.Stop(t.Context()); err != nil {
		t.Error(err)
	}
	nothingLeft(t, e)
}

// Output that the engine has thrown away is missed, and not silently.
func TestLogGap(t *testing.T) {
	e := fakeengine.New(t)
	e.FirstLog = 2
	e.Run = announces(server(t))
	l := newLauncher(t, engine(t, e.URL()))
	l.Ready = onlyLine
	err := failed(t, t.Context(), l, e, launcher.Spec{})
	mustBe(t, err, launcher.StageReady, nomad.ErrLogGap)
	if len(err.Tail) == 0 { // its end is there all the same
		t.Error("there is no tail")
	}
}

// A reader may be closed while somebody reads, who then gets no more.
func TestLogClosed(t *testing.T) {
	e := fakeengine.New(t)
	launch := logsource.Launch{Name: "web", ID: uuid.New()}
	e.Add(nomad.JobID(launch.Name, launch.ID))
	log, err := nomad.Log{Engine: engine(t, e.URL())}.Open(t.Context(), launch)
	if err != nil {
		t.Fatal(err)
	}
	r, err := log.Follow(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	read := make(chan error, 1)
	go func() {
		_, err := r.Read(make([]byte, 1))
		read <- err
	}()
	e.Await(func() bool { return e.Streams() == 1 })
	if err := r.Close(); err != nil {
		t.Error(err)
	}
	if err := <-read; !errors.Is(err, fs.ErrClosed) {
		t.Errorf("the reader was closed, and Read returned %v", err)
	}
	e.Await(func() bool { return e.Streams() == 0 })
}

// Its launcher follows the log of a pod on the engine, and so may any launcher that has
// attached, until the pod ends. After that, when its job is gone, they still can.
func TestFollow(t *testing.T) {
	e := fakeengine.New(t)
	e.CutLogs = 40
	e.Run = announces(server(t))
	l := newLauncher(t, engine(t, e.URL()))
	l.Ready = onlyLine
	pod, err := l.Launch(t.Context(), launcher.Spec{Name: "web"})
	if err != nil {
		t.Fatal(err)
	}
	attached, err := l.Attach(t.Context(), "web")
	if err != nil {
		t.Fatal(err)
	}
	task := e.Tasks()[0]
	task.Say("old")
	var readers []io.ReadCloser
	for _, p := range []*launcher.Pod{pod, attached} {
		for _, fromStart := range []bool{true, false} {
			r, err := p.Follow(t.Context(), fromStart)
			if err != nil {
				t.Fatal(err)
			}
			readers = append(readers, r)
		}
	}
	task.Say("new")
	if err := pod.Stop(t.Context()); err != nil {
		t.Error(err)
	}
	<-attached.Done()
	nothingLeft(t, e)
	late, err := pod.Follow(t.Context(), true)
	if err != nil {
		t.Fatal(err)
	}
	readers = append(readers, late)
	for i, r := range readers {
		got, err := io.ReadAll(r)
		if whole := i%2 == 0; err != nil || !strings.HasSuffix(string(got), "new\n") || strings.Contains(string(got), "INSOMNIA-READY") != whole ||
			strings.Contains(string(got), "old\n") != whole {
			t.Errorf("reader %d: %q, %v", i, got, err)
		}
		if err := r.Close(); err != nil {
			t.Error(err)
		}
	}
	e.Await(func() bool { return e.Streams() == 0 })
	e.Forget()
	if _, err := pod.Follow(t.Context(), true); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the engine has forgotten it: %v", err)
	}
}

// waiting launches a pod, lets happen f once its launch waits for it, and returns
// how the launch ended.
func waiting(t *testing.T, l *launcher.Launcher, e *fakeengine.Engine, f func(task *fakeengine.Task)) (*launcher.Pod, error) {
	t.Helper()
	type result struct {
		pod *launcher.Pod
		err error
	}
	launched := make(chan result, 1)
	go func() {
		pod, err := l.Launch(t.Context(), launcher.Spec{Name: "web"})
		launched <- result{pod, err}
	}()
	e.Await(func() bool { return e.Streams() == 1 })
	f(e.Tasks()[0])
	r := <-launched
	return r.pod, r.err
}

// The agent dies while a launch waits, and comes back.
func TestAgentComesBack(t *testing.T) {
	e := fakeengine.New(t)
	l := newLauncher(t, engine(t, e.URL()))
	l.Ready = onlyLine
	address := server(t)
	pod, err := waiting(t, l, e, func(task *fakeengine.Task) {
		e.Down()
		task.Say("INSOMNIA-READY\tweb\t%s", address)
		e.Up()
	})
	if err != nil {
		t.Fatal(err)
	}
	e.Down()
	e.Up()
	e.Tasks()[0].Exit(4) // it has ended by itself
	<-pod.Done()
	if exit, err := pod.Wait(t.Context()); exit != (launcher.Exit{Code: 4, Known: true}) || err != nil {
		t.Errorf("it ended with %v, %v", exit, err)
	}
	nothingLeft(t, e)
}

// The agent comes back, and knows of nothing.
func TestAgentForgets(t *testing.T) {
	e := fakeengine.New(t)
	l := newLauncher(t, engine(t, e.URL()))
	l.Ready = onlyLine
	_, err := waiting(t, l, e, func(*fakeengine.Task) {
		e.Down()
		e.Forget()
		e.Up()
	})
	var failure *launcher.Error
	if !errors.As(err, &failure) || !errors.Is(err, nomad.ErrLost) || failure.Leftover != nil {
		t.Fatalf("%v", err)
	}
	mustSay(t, err, "does not know the allocation")
}

// The node is lost: the pod is, and the engine must not start another.
func TestAllocationLost(t *testing.T) {
	e := fakeengine.New(t)
	l := newLauncher(t, engine(t, e.URL()))
	l.Ready = onlyLine
	_, err := waiting(t, l, e, func(task *fakeengine.Task) { task.Lose("lost") })
	if !errors.Is(err, nomad.ErrLost) {
		t.Fatal(err)
	}
	mustSay(t, err, "the node here")
	if jobs := e.Jobs(); len(jobs) > 0 {
		t.Errorf("the engine still has the jobs %q", jobs)
	}
}

// A keeper keeps the process that a Starter has started.
type keeper struct {
	launcher.Starter
	process launcher.Process
}

func (k *keeper) Start(ctx context.Context, req launcher.StartRequest) (p launcher.Process, err error) {
	k.process, err = k.Starter.Start(ctx, req)
	return k.process, err
}

// cleared waits until nobody minds the process any more.
func (k *keeper) cleared(t *testing.T) {
	if _, err := k.process.Wait(t.Context()); err != nil {
		t.Error(err)
	}
}

// The agent is away when the launch fails: the error says what may be left, and
// it is cleared as soon as the agent is back.
func TestNotCleared(t *testing.T) {
	e := fakeengine.New(t)
	l := newLauncher(t, engine(t, e.URL()))
	l.Ready = onlyLine
	keep := &keeper{Starter: l.Starter}
	l.Starter = keep
	ctx, cancel := context.WithCancel(t.Context())
	l.Observer = &launcher.Observer{Step: func(_ context.Context, s launcher.StepInfo) {
		if s.Name == "process" {
			e.Down()
			cancel()
		}
	}}
	_, err := l.Launch(ctx, launcher.Spec{Name: "web"})
	var failure *launcher.Error
	if !errors.As(err, &failure) || failure.Leftover == nil || !errors.Is(failure.Leftover, nomad.ErrUnreachable) {
		t.Fatalf("%v", err)
	}
	t.Log(err)
	e.Up()
	e.Await(func() bool { return len(e.Jobs()) == 0 })
	keep.cleared(t)
}

// An engine that does not answer is waited for as long as the launch may take,
// and a job that it registers later goes.
func TestHangs(t *testing.T) {
	e := fakeengine.New(t)
	e.Hang = true
	l := newLauncher(t, engine(t, e.URL()))
	keep := &keeper{Starter: l.Starter}
	l.Starter = keep
	ctx, cancel := context.WithCancelCause(t.Context())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		e.Await(func() bool { return e.Calls()["PUT /v1/jobs"] > 0 })
		cancel(context.DeadlineExceeded)
	}()
	_, err := l.Launch(ctx, launcher.Spec{Name: "web"})
	<-ended
	var failure *launcher.Error
	if !errors.As(err, &failure) || !errors.Is(err, context.DeadlineExceeded) || failure.Leftover == nil {
		t.Fatalf("%v", err)
	}
	mustSay(t, err, "has not said whether the job web-")
	e.Change(func() { e.Hang = false })
	e.Down() // the waiting request is made again
	e.Up()
	e.Await(func() bool { return e.Calls()["DELETE /v1/job/{id}"] > 0 && len(e.Jobs()) == 0 })
	keep.cleared(t)
}

// A cluster that elects its leader, and an agent that has too many connections, take the
// job a moment later.
func TestTakesItLater(t *testing.T) {
	for name, on := range map[string]func(e *fakeengine.Engine, is bool){
		"election": func(e *fakeengine.Engine, is bool) { e.Election = is },
		"busy":     func(e *fakeengine.Engine, is bool) { e.Busy = is },
	} {
		t.Run(name, func(t *testing.T) {
			e := fakeengine.New(t)
			on(e, true)
			e.Run = announces(server(t))
			l := newLauncher(t, engine(t, e.URL()))
			ended := make(chan struct{})
			go func() {
				defer close(ended)
				e.Await(func() bool { return e.Calls()["PUT /v1/jobs"] > 1 })
				e.Change(func() { on(e, false) })
			}()
			pod, err := l.Launch(t.Context(), launcher.Spec{Name: "web"})
			<-ended
			if err != nil {
				t.Fatal(err)
			}
			if err := pod.Stop(t.Context()); err != nil {
				t.Error(err)
			}
			nothingLeft(t, e)
		})
	}
}

// Stop: SIGTERM and its grace, then SIGKILL; it returns when the pod is gone.
func TestStopKills(t *testing.T) {
	address := server(t)
	e := fakeengine.New(t)
	e.Run = func(task *fakeengine.Task) int {
		task.Say("INSOMNIA-READY\tweb\t%s", address)
		<-task.Done
		return 0
	}
	l := newLauncher(t, engine(t, e.URL()))
	l.Ready, l.Grace = onlyLine, time.Millisecond
	pod, err := l.Launch(t.Context(), launcher.Spec{Name: "web"})
	if err != nil {
		t.Fatal(err)
	}
	if err := pod.Stop(t.Context()); err != nil {
		t.Error(err)
	}
	if exit, err := pod.Wait(t.Context()); exit.Signal != syscall.SIGKILL || err != nil {
		t.Errorf("it ended with %v, %v", exit, err)
	}
	nothingLeft(t, e)
}

// One pod per name: as long as the job runs, also when its launcher or the engine's
// agent has gone.
func TestOnePodPerName(t *testing.T) {
	e := fakeengine.New(t)
	e.Run = announces(server(t))
	l := newLauncher(t, engine(t, e.URL()))
	pod, err := l.Launch(t.Context(), launcher.Spec{Name: "web"})
	if err != nil {
		t.Fatal(err)
	}
	pod.Release() // as if its launcher had died
	_, err = l.Launch(t.Context(), launcher.Spec{Name: "web"})
	if !errors.Is(err, launcher.ErrRunning) {
		t.Errorf("a second launch: %v", err)
	}
	e.Down()
	_, err = l.Launch(t.Context(), launcher.Spec{Name: "web"})
	if !errors.Is(err, nomad.ErrUnreachable) {
		t.Errorf("while the agent is away: %v", err)
	}
	e.Up()
	again, err := l.Attach(t.Context(), "web")
	if err != nil {
		t.Fatal(err)
	}
	if again.Endpoint() != pod.Endpoint() || len(e.Tasks()) != 1 {
		t.Errorf("attached to %v, want %v; there were %d jobs", again.Endpoint(), pod.Endpoint(), len(e.Tasks()))
	}
	if err := again.Stop(t.Context()); err != nil {
		t.Error(err)
	}
	nothingLeft(t, e)
	if pod, err = l.Launch(t.Context(), launcher.Spec{Name: "web"}); err != nil {
		t.Fatal(err)
	}
	if err := pod.Stop(t.Context()); err != nil {
		t.Error(err)
	}
	nothingLeft(t, e)
}

// A job that was registered, and whose launcher died before there was an
// allocation, is ended by the next launch of the name.
func TestLeftBehind(t *testing.T) {
	e := fakeengine.New(t)
	e.Pending = true
	e.Run = announces(server(t))
	l := newLauncher(t, engine(t, e.URL()))
	keep := &keeper{Starter: l.Starter}
	l.Starter = finder{keep, l.Starter.(launcher.Finder)}
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		e.Await(func() bool { return len(e.Tasks()) == 1 })
		e.Down() // so that the launch cannot clear it
		cancel()
	}()
	_, err := l.Launch(ctx, launcher.Spec{Name: "web"})
	var failure *launcher.Error
	if !errors.As(err, &failure) || failure.Leftover == nil {
		t.Fatalf("%v", err)
	}
	keep.process.(launcher.Releaser).Release() // the launcher has died
	e.Up()
	e.Start()
	pod, err := l.Launch(t.Context(), launcher.Spec{Name: "web"})
	if err != nil {
		t.Fatal(err)
	}
	<-e.Tasks()[0].Done
	if err := pod.Stop(t.Context()); err != nil {
		t.Error(err)
	}
	nothingLeft(t, e)
}

// A finder is a Starter with somebody else's Find.
type finder struct {
	launcher.Starter
	launcher.Finder
}

// What a launch costs the engine, which docs/engines.md calculates with: so many
// calls, and one stream that is open as long as there are pods.
func TestCalls(t *testing.T) {
	e := fakeengine.New(t)
	e.Run = announces(server(t))
	l := newLauncher(t, engine(t, e.URL()))
	l.Ready = onlyLine
	pod, err := l.Launch(t.Context(), launcher.Spec{Name: "web"})
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]int{
		"PUT /v1/jobs":                2, // and to bind it to its node
		"GET /v1/evaluation/{id}":     1,
		"GET /v1/event/stream":        1, // for all pods
		"GET /v1/allocations":         1, // for all that there are when it begins
		"GET /v1/client/fs/logs/{id}": 1,
	}
	e.Await(func() bool { return e.Streams() == 0 && maps.Equal(e.Calls(), want) })
	second, err := l.Launch(t.Context(), launcher.Spec{Name: "web2"})
	if err != nil {
		t.Fatal(err)
	}
	if calls := e.Calls(); calls["GET /v1/event/stream"] != 1 || calls["GET /v1/allocations"] != 1 {
		t.Errorf("the second pod has a watch of its own: %v", calls)
	}
	for _, p := range []*launcher.Pod{pod, second} {
		if err := p.Stop(t.Context()); err != nil {
			t.Error(err)
		}
	}
	// To that come the deregistration, SIGCONT unless the pod is gone by then, and
	// once how it ended.
	calls := e.Calls()
	for call, most := range map[string]int{"DELETE /v1/job/{id}": 2, "PUT /v1/client/allocation/{id}/signal": 2, "GET /v1/allocation/{id}": 2} {
		if calls[call] > most {
			t.Errorf("two stops made %d calls %s", calls[call], call)
		}
	}
}
