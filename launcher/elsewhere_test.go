//go:build unix

package launcher_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/uuid"

	"github.com/podlaunch/podlaunch/launcher"
	"github.com/podlaunch/podlaunch/launcher/internal/leaktest"
	"github.com/podlaunch/podlaunch/launcher/launchertest"
	"github.com/podlaunch/podlaunch/logsource/logsourcetest"
	"github.com/podlaunch/podlaunch/readiness"
	"github.com/podlaunch/podlaunch/runtimedir"
)

// A cluster starts processes elsewhere, and finds them again.
type cluster struct {
	mu        sync.Mutex
	away      error // is what everything fails with
	deaf      error // is what signals fail with
	processes map[uuid.UUID]*launchertest.Process
	started   int
}

func (c *cluster) Start(_ context.Context, req launcher.StartRequest) (launcher.Process, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.away != nil {
		return nil, c.away
	}
	p := &launchertest.Process{Request: req}
	if c.processes == nil {
		c.processes = make(map[uuid.UUID]*launchertest.Process)
	}
	c.processes[req.ID] = p
	c.started++
	return &remote{p, c}, nil
}

func (c *cluster) Find(_ context.Context, name string, id uuid.UUID) (launcher.Process, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.away != nil {
		return nil, c.away
	}
	if p := c.processes[id]; p != nil && p.Request.Name == name {
		select {
		case <-p.Done():
		default:
			return &remote{p, c}, nil
		}
	}
	return nil, fmt.Errorf("launch %v of %s: %w", id, name, os.ErrProcessDone)
}

func (c *cluster) setAway(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.away = err
}

func (c *cluster) setDeaf(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.deaf = err
}

func (c *cluster) starts() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.started
}

// A remote process cannot be signalled while its cluster is away.
type remote struct {
	*launchertest.Process
	cluster *cluster
}

func (r *remote) Signal(ctx context.Context, sig os.Signal) error {
	r.cluster.mu.Lock()
	err := errors.Join(r.cluster.away, r.cluster.deaf)
	r.cluster.mu.Unlock()
	if err != nil {
		return err
	}
	return r.Process.Signal(ctx, sig)
}

// elsewhere returns a launcher of pods on c, which answer on an address of the
// test's.
func elsewhere(t *testing.T, c launcher.Starter) *launcher.Launcher {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { listener.Close() })
	at := readiness.Endpoint{Network: "tcp", Address: listener.Addr().String()}
	return &launcher.Launcher{
		Command: launcher.Path("/bin/sh"),
		Dir:     runtimedir.Dir(t.TempDir()),
		Log:     new(logsourcetest.Memory),
		Ready: readiness.ProbeFunc(func(context.Context, readiness.Target) (readiness.Endpoint, error) {
			return at, nil
		}),
		Starter: c,
	}
}

// One pod per name, even if the pod has no pid here, for every caller and every Launcher
// of the same base.
func TestElsewhere(t *testing.T) {
	ctx, c := t.Context(), new(cluster)
	l := elsewhere(t, c)
	spec := launcher.Spec{Name: "web"}
	pod, err := l.Launch(ctx, spec)
	if err != nil {
		t.Fatal(err)
	}
	pod.Release() // its launcher has gone

	_, err = l.Launch(ctx, spec)
	var failure *launcher.Error
	if !errors.Is(err, launcher.ErrRunning) || !errors.As(err, &failure) || failure.Endpoint != pod.Endpoint() {
		t.Errorf("a second launch: %v", err)
	}
	if _, started, err := l.Ensure(ctx, spec); err != nil || started {
		t.Errorf("Ensure: started %v, %v", started, err)
	}
	for status, err := range l.List(ctx) {
		if err != nil || status.Name != "web" || status.State != launcher.StateReady || status.PID != 0 || status.Endpoint != pod.Endpoint() {
			t.Errorf("List: %+v, %v", status, err)
		}
	}
	again, err := l.Attach(ctx, "web")
	if err != nil {
		t.Fatal(err)
	}
	if again.Endpoint() != pod.Endpoint() {
		t.Errorf("it is at %v, want %v", again.Endpoint(), pod.Endpoint())
	}
	if err := again.Stop(ctx); err != nil {
		t.Error(err)
	}
	if _, err := l.Attach(ctx, "web"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("it was stopped, and Attach says %v", err)
	}
	for status, err := range l.List(ctx) {
		if err != nil || status.State != launcher.StateGone {
			t.Errorf("it was stopped, and List says %+v, %v", status, err)
		}
	}
	if pod, err = l.Launch(ctx, spec); err != nil {
		t.Fatal(err)
	}
	for range 2 { // once more, when it is gone
		if err := errors.Join(pod.Stop(ctx), pod.Kill(ctx)); err != nil {
			t.Error(err)
		}
	}
	if n := c.starts(); n != 2 {
		t.Errorf("%d processes were started, want 2", n)
	}
}

// A launcher that cannot ask does not start another pod: neither while the engine is
// away, nor with a Launcher that does not know it, nor with an earlier version of this
// library, which has to take the record for one of a later version.
func TestElsewhereUnknown(t *testing.T) {
	ctx, c := t.Context(), new(cluster)
	l := elsewhere(t, c)
	spec := launcher.Spec{Name: "web"}
	pod, err := l.Launch(ctx, spec)
	if err != nil {
		t.Fatal(err)
	}

	away := errors.New("the engine is away")
	c.setAway(away)
	_, err = l.Launch(ctx, spec)
	var failure *launcher.Error
	if !errors.Is(err, away) || !errors.As(err, &failure) || failure.Stage != launcher.StageOwn {
		t.Errorf("a second launch: %v", err)
	}
	if _, err := l.Attach(ctx, "web"); !errors.Is(err, away) {
		t.Errorf("Attach: %v", err)
	}
	for status, err := range l.List(ctx) {
		if !errors.Is(err, away) || status.Name != "web" {
			t.Errorf("List: %+v, %v", status, err)
		}
	}
	c.setAway(nil)

	local := *l
	local.Starter = nil
	if _, err := local.Launch(ctx, spec); !errors.Is(err, errors.ErrUnsupported) {
		t.Errorf("by a launcher that does not know the engine: %v", err)
	}
	if n := c.starts(); n != 1 {
		t.Errorf("%d processes were started, want 1", n)
	}
	base, err := l.Dir.(runtimedir.Baser).Base(ctx)
	if err != nil {
		t.Fatal(err)
	}
	record, err := os.ReadFile(filepath.Join(base, ".web.json"))
	if err != nil || !strings.Contains(string(record), `"version":2`) {
		t.Errorf("the record is %s, %v", record, err)
	}
	if err := pod.Stop(ctx); err != nil {
		t.Error(err)
	}
}

// What a launch has left that could not clear it, or whose launcher died, the
// next one ends: before it starts another.
func TestElsewhereLeftBehind(t *testing.T) {
	leaktest.Parallel(t)
	ctx, c := t.Context(), new(cluster)
	l := elsewhere(t, c)
	ready := l.Ready
	away := errors.New("the engine is away")
	l.Ready = readiness.ProbeFunc(func(context.Context, readiness.Target) (readiness.Endpoint, error) {
		c.setAway(away)
		return readiness.Endpoint{}, errors.New("no good")
	})
	spec := launcher.Spec{Name: "web"}
	_, err := l.Launch(ctx, spec)
	var failure *launcher.Error
	if !errors.As(err, &failure) || !errors.Is(failure.Leftover, away) {
		t.Fatalf("the first launch: %v", err)
	}
	c.setAway(nil)
	var left *launchertest.Process
	for _, p := range c.processes {
		left = p
	}
	l.Ready = ready

	deaf := errors.New("the node does not answer")
	c.setDeaf(deaf)
	if _, err := l.Launch(ctx, spec); !errors.Is(err, deaf) || !strings.Contains(err.Error(), "has left behind") {
		t.Errorf("a launch that cannot end what the first one has left: %v", err)
	}
	c.setDeaf(nil)
	if n := c.starts(); n != 1 {
		t.Errorf("%d processes were started, want 1", n)
	}

	pod, err := l.Launch(ctx, spec)
	if err != nil {
		t.Fatal(err)
	}
	select {
	case <-left.Done():
	default:
		t.Error("what the first launch left is still there")
	}
	if err := pod.Stop(ctx); err != nil {
		t.Error(err)
	}
}

// vague is a cluster that forgets to say whether a process is there.
type vague struct{ *cluster }

func (v vague) Find(context.Context, string, uuid.UUID) (launcher.Process, error) { return nil, nil }

// A Finder may say neither that there is a process nor that there is none. Its answer is
// taken for neither.
func TestElsewhereVague(t *testing.T) {
	ctx, c := t.Context(), new(cluster)
	l := elsewhere(t, c)
	spec := launcher.Spec{Name: "web"}
	pod, err := l.Launch(ctx, spec)
	if err != nil {
		t.Fatal(err)
	}
	other := *l
	other.Starter = vague{c}
	if _, err := other.Launch(ctx, spec); err == nil || !strings.Contains(err.Error(), "neither a process nor an error") {
		t.Errorf("a second launch: %v", err)
	}
	if n := c.starts(); n != 1 {
		t.Errorf("%d processes were started, want 1", n)
	}
	if err := pod.Stop(ctx); err != nil {
		t.Error(err)
	}
}

// A slow cluster does something before it finds a process.
type slow struct {
	*cluster
	first func()
}

func (s slow) Find(ctx context.Context, name string, id uuid.UUID) (launcher.Process, error) {
	s.first()
	return s.cluster.Find(ctx, name, id)
}

// A pod that becomes ready while List looks at it, or that begins to be launched then,
// is not called gone: between two looks at its files a launch may have come or gone.
func TestListDuringALaunch(t *testing.T) {
	ctx, c := t.Context(), new(cluster)
	l := elsewhere(t, c)
	pod, err := l.Launch(ctx, launcher.Spec{Name: "web"})
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(string(l.Dir.(runtimedir.Dir)), ".web.json")
	ready, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	intent := ready[:bytes.IndexByte(ready, '\n')+1]
	write := func(record []byte) {
		if err := os.WriteFile(path, record, 0o600); err != nil {
			t.Error(err)
		}
	}
	for _, c := range []struct {
		name string
		then []byte // the record once List has read the intent
		want launcher.State
	}{
		{"it becomes ready", ready, launcher.StateReady},
		{"its launcher has died", intent, launcher.StateGone},
	} {
		t.Run(c.name, func(t *testing.T) {
			write(intent)
			during := *l
			during.Starter = slow{l.Starter.(*cluster), func() { write(c.then) }}
			for s, err := range during.List(ctx) {
				if err != nil || s.State != c.want || (s.Why != nil) != (c.want == launcher.StateGone) {
					t.Errorf("List: %+v, %v", s, err)
				}
			}
		})
	}
	write(ready)
	if err := pod.Stop(ctx); err != nil {
		t.Error(err)
	}
}

// An engine that takes no notice of the context does not hold List up, and nobody
// knows then whether its pod runs.
func TestListWithADeafFinder(t *testing.T) {
	l := elsewhere(t, new(cluster))
	pod, err := l.Launch(t.Context(), launcher.Spec{Name: "web"})
	if err != nil {
		t.Fatal(err)
	}
	synctest.Test(t, func(t *testing.T) {
		hangs, looks := make(chan struct{}), 0
		deaf := *l
		deaf.Starter = slow{l.Starter.(*cluster), func() { <-hangs }}
		began := time.Now()
		for s, err := range deaf.List(t.Context()) {
			looks++
			if !errors.Is(err, os.ErrDeadlineExceeded) || !strings.Contains(err.Error(), "the Starter did not answer within 5s") || s.Name != "web" || s.State != "" {
				t.Errorf("List: %+v, %v", s, err)
			}
		}
		if took := time.Since(began); looks != 1 || took > 6*time.Second {
			t.Errorf("List yields %d in %v", looks, took)
		}
		close(hangs)
	})
	if err := pod.Stop(t.Context()); err != nil {
		t.Error(err)
	}
}

// A launch that fails leaves no record of what never was.
func TestElsewhereNotStarted(t *testing.T) {
	ctx, c := t.Context(), &cluster{away: errors.New("the engine is away")}
	l := elsewhere(t, c)
	if _, err := l.Launch(ctx, launcher.Spec{Name: "web"}); !errors.Is(err, c.away) {
		t.Errorf("%v", err)
	}
	for status, err := range l.List(ctx) {
		t.Errorf("List: %+v, %v", status, err)
	}
}

// A mined cluster has processes that call explode before each signal.
type mined struct {
	cluster
	explode func()
}

func (m *mined) Start(ctx context.Context, req launcher.StartRequest) (launcher.Process, error) {
	p, err := m.cluster.Start(ctx, req)
	return minedProcess{p, m.explode}, err
}

type minedProcess struct {
	launcher.Process
	explode func()
}

func (p minedProcess) Signal(ctx context.Context, sig os.Signal) error {
	p.explode()
	return p.Process.Signal(ctx, sig)
}

// A name is not given back while its process may live: neither where the signal that
// should end it panics, nor where it hangs in spite of its context. In a bubble.
func TestNameIsKeptByAProcessThatCannotBeEnded(t *testing.T) {
	for _, how := range []string{"panics", "hangs"} {
		t.Run(how, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				release := make(chan struct{})
				defer close(release)
				m := &mined{explode: func() { <-release }}
				if how == "panics" {
					m.explode = func() { panic("boom") }
				}
				l := elsewhere(t, m)
				l.Ready = readiness.ProbeFunc(func(context.Context, readiness.Target) (readiness.Endpoint, error) {
					return readiness.Endpoint{}, errors.New("it is not")
				})
				nameIsKept(t, l, m)
				for _, p := range m.processes {
					p.Signal(t.Context(), syscall.SIGKILL)
				}
			})
		})
	}
}

// nameIsKept launches the same pod twice, and makes sure that one process is started.
func nameIsKept(t *testing.T, l *launcher.Launcher, m *mined) {
	launch := func() (err error) {
		defer func() {
			if v := recover(); v != nil && v != "boom" {
				panic(v)
			}
		}()
		_, err = l.Launch(t.Context(), launcher.Spec{Name: "web"})
		return err
	}
	launch()
	m.setDeaf(errors.New("it hears no signals"))
	if err := launch(); err == nil || m.starts() != 1 {
		t.Errorf("%d processes were started; the second launch: %v", m.starts(), err)
	}
}

// A lagging cluster may take an ended process for one that runs, until a certain time.
type lagging struct {
	cluster
	until time.Time
	takes func(asked int) bool // whether it does so when it is asked once more
	asked int
}

func (l *lagging) Find(ctx context.Context, name string, id uuid.UUID) (launcher.Process, error) {
	l.mu.Lock()
	l.asked++
	p := l.processes[id]
	takes := p != nil && l.takes(l.asked) && time.Now().Before(l.until) && l.asked < 1000 // in a bubble no time passes for who does not wait
	l.mu.Unlock()
	if takes {
		return &remote{p, &l.cluster}, nil
	}
	return l.cluster.Find(ctx, name, id)
}

// An engine may know a process for some time after its end, and not everybody there may know
// the same. It is not asked without a pause meanwhile, nor any longer than the caller wants. In
// a bubble.
func TestEngineThatKnowsLate(t *testing.T) {
	spec := launcher.Spec{Name: "web"}
	always := func(int) bool { return true }
	for _, c := range []struct {
		name  string
		takes func(asked int) bool
		does  func(ctx context.Context, l *launcher.Launcher) error
	}{
		{"Stop", always, func(ctx context.Context, l *launcher.Launcher) error { return l.Stop(ctx, "web") }},
		{"Stop in a second", always, func(ctx context.Context, l *launcher.Launcher) error {
			ctx, cancel := context.WithTimeout(ctx, time.Second)
			defer cancel()
			if err := l.Stop(ctx, "web"); !errors.Is(err, context.DeadlineExceeded) {
				return fmt.Errorf("Stop: %w", err)
			}
			return nil
		}},
		{"Remove", always, func(ctx context.Context, l *launcher.Launcher) error { return l.Remove(ctx, "web") }},
		{"Attach", func(asked int) bool { return asked%2 == 1 }, func(ctx context.Context, l *launcher.Launcher) error {
			if _, err := l.Attach(ctx, "web"); !errors.Is(err, fs.ErrNotExist) {
				return fmt.Errorf("Attach: %w", err)
			}
			return nil
		}},
		{"Ensure", func(asked int) bool { return asked%3 != 2 }, func(ctx context.Context, l *launcher.Launcher) error {
			pod, started, err := l.Ensure(ctx, spec)
			if err != nil || !started {
				return fmt.Errorf("Ensure: started %v, %w", started, err)
			}
			return pod.Stop(ctx)
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				engine := &lagging{takes: c.takes}
				l := elsewhere(t, engine)
				pod, err := l.Launch(t.Context(), spec)
				if err != nil {
					t.Fatal(err)
				}
				for _, p := range engine.processes {
					p.Exit(launcher.Exit{Known: true})
				}
				<-pod.Done()
				engine.asked, engine.until = 0, time.Now().Add(2*time.Second)
				if err := c.does(t.Context(), l); err != nil {
					t.Error(err)
				}
				if engine.asked < 10 || engine.asked > 200 {
					t.Errorf("it was asked %d times", engine.asked)
				}
			})
		})
	}
}
