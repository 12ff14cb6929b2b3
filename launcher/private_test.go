//go:build linux

package launcher_test

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/podlaunch/podlaunch/launcher"
	"github.com/podlaunch/podlaunch/launcher/internal/podrig"
	"github.com/podlaunch/podlaunch/logsource"
	"github.com/podlaunch/podlaunch/readiness"
	"github.com/podlaunch/podlaunch/runtimedir"
)

// A privateRig launches private pods. Nothing of them may be left when the test ends.
type privateRig struct {
	*rig
	base string // of Temp
}

func newPrivateRig(t *testing.T, steps ...string) *privateRig {
	t.Helper()
	r := &privateRig{rig: newRig(t, steps...)}
	t.Setenv("XDG_RUNTIME_DIR", r.Base)
	r.base = filepath.Join(r.Base, "podlaunch")
	r.L.Dir = runtimedir.Temp{}
	t.Cleanup(func() { r.mustBeEmpty(t) })
	return r
}

// mustBeEmpty makes sure that nothing is left of any private pod.
func (r *privateRig) mustBeEmpty(t *testing.T) {
	t.Helper()
	if _, err := os.Lstat(r.base); errors.Is(err, fs.ErrNotExist) {
		return
	}
	t.Errorf("%s is still there, with %q", r.base, r.entries(t))
}

func (r *privateRig) entries(t *testing.T) (names []string) {
	t.Helper()
	entries, err := os.ReadDir(r.base)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		t.Fatal(err)
	}
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}

// launch launches a private pod, which is ended when the test is over.
func (r *privateRig) launch(t *testing.T, spec launcher.Spec) *launcher.Pod {
	t.Helper()
	pod, err := r.L.Launch(t.Context(), spec)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := pod.Kill(context.Background()); err != nil {
			t.Error(err)
		}
	})
	return pod
}

// A private pod has a directory of its own, with mode 0700, in which its socket is, and
// a name, which was drawn. There is no record, and no lock by which somebody else could
// wait for it. All of it is gone when Stop returns.
func TestPrivatePod(t *testing.T) {
	r := newPrivateRig(t)
	env := filepath.Join(r.Base, "env")
	r.L.Command = podrig.Script("env "+env, "listen", "ready", "hang")
	pod := r.launch(t, launcher.Spec{})
	podrig.Ping(t, pod)
	name, dir := pod.Name(), pod.RuntimeDir()
	if dir != filepath.Join(r.base, name) || runtimedir.ValidateName(name) != nil {
		t.Errorf("the pod %q has the directory %q", name, dir)
	}
	if fi, err := os.Stat(dir); err != nil || fi.Mode() != fs.ModeDir|0o700 {
		t.Errorf("its directory is %v, %v", fi, err)
	}
	if vars := variables(t, env); vars["POD_NAME"] != name || vars["POD_RUNTIME_DIR"] != dir {
		t.Errorf("it has the environment %q", vars)
	}
	if got, want := r.entries(t), []string{"." + name + ".private", name}; !slices.Equal(got, want) {
		t.Errorf("the base holds %q, want %q", got, want)
	}
	if parts, err := pod.Differs(launcher.Spec{}); err != nil || parts != nil {
		t.Errorf("it differs from itself: %q, %v", parts, err)
	}
	if err := pod.Stop(t.Context()); err != nil {
		t.Error(err)
	}
	r.mustBeEmpty(t)
	if _, err := pod.Follow(t.Context(), true); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("its log can be followed: %v", err)
	}
	if err := pod.Stop(t.Context()); err != nil {
		t.Errorf("a second Stop: %v", err)
	}
}

// What a private pod is goes with the pod however that ends: when Done says so, nothing
// is left. That holds also if a child outlives it.
func TestPrivatePodEndsByItself(t *testing.T) {
	r := newPrivateRig(t)
	gate := r.Fifo("gate")
	for _, last := range []string{"exit 3", "kill KILL", "rmdir; exit 0"} {
		t.Run(last, func(t *testing.T) {
			steps := slices.Concat([]string{"listen", "ready", "await " + gate}, strings.Split(last, "; "))
			r.L.Command = podrig.Script(steps...)
			pod := r.launch(t, launcher.Spec{})
			podrig.Wake(t, gate)
			<-pod.Done()
			r.mustBeEmpty(t)
		})
	}
}

// A hundred private pods at once, each with a socket, end without a trace. The first to
// begin makes the base, and the last removes it, again and again.
func TestPrivatePodsAtOnce(t *testing.T) {
	r := newPrivateRig(t, podrig.Serve...)
	var all sync.WaitGroup
	var mu sync.Mutex
	names := make(map[string]bool)
	for range podrig.Size(t, 25, 60, 400) {
		all.Go(func() {
			pod, err := r.L.Launch(t.Context(), launcher.Spec{})
			if err != nil {
				t.Error(err)
				return
			}
			podrig.Ping(t, pod)
			mu.Lock()
			if names[pod.Name()] {
				t.Errorf("two pods are %q", pod.Name())
			}
			names[pod.Name()] = true
			mu.Unlock()
			if err := pod.Stop(t.Context()); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
}

// A launch of a private pod that fails leaves nothing, wherever it fails. The error has
// the last lines of the pod, and no path of a log that has gone.
func TestPrivateLaunchFails(t *testing.T) {
	wrong := errors.New("no such thing")
	for _, c := range []struct {
		name  string
		steps []string
		spoil func(r *privateRig, ctx context.Context) context.Context
		want  error
		tail  string
	}{
		{name: "it exits early", steps: []string{"say no config", "exit 3"}, want: launcher.ErrExitedEarly, tail: "no config"},
		{name: "it leaves a child", steps: []string{"setsid hang", "say no", "exit 3"}, want: launcher.ErrExitedEarly, tail: "no"},
		{name: "it is never ready", want: launcher.ErrTimeout, tail: "hm",
			spoil: func(r *privateRig, _ context.Context) context.Context {
				said, d := r.Fifo("said"), podrig.NewDeadline()
				r.L.Command = podrig.Script("say hm", "notify "+said, "hang")
				d.PassAt(r.T, said)
				return d
			}},
		{name: "no program", want: fs.ErrNotExist, spoil: func(r *privateRig, ctx context.Context) context.Context {
			r.L.Command = launcher.CommandResolverFunc(func(context.Context, launcher.Request) (launcher.Command, error) {
				return launcher.Command{Path: filepath.Join(r.Base, "none")}, nil
			})
			return ctx
		}},
		{name: "no log", want: wrong, spoil: func(r *privateRig, ctx context.Context) context.Context {
			r.L.Log = noLog{wrong}
			return ctx
		}},
		{name: "no probe", want: wrong, spoil: func(r *privateRig, ctx context.Context) context.Context {
			r.L.Ready = preparer(func(context.Context, *readiness.Setup) (readiness.Probe, error) { return nil, wrong })
			return ctx
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := newPrivateRig(t, c.steps...)
			ctx := t.Context()
			if c.spoil != nil {
				ctx = c.spoil(r, ctx)
			}
			pod, err := r.L.Launch(ctx, launcher.Spec{})
			if err == nil {
				t.Fatal(errors.Join(errors.New("it is ready"), pod.Kill(t.Context())))
			}
			r.mustBeEmpty(t)
			podrig.MustBe(t, err, c.want)
			var e *launcher.Error
			if !errors.As(err, &e) {
				t.Fatalf("the error is a %T", err)
			}
			if e.Leftover != nil || e.LogPath != "" || e.Name == "" || strings.Join(e.Tail, "\n") != c.tail {
				t.Errorf("the error has the leftover %v, the log %q, the name %q, the tail %q", e.Leftover, e.LogPath, e.Name, e.Tail)
			}
		})
	}
}

// A noLog cannot be opened.
type noLog struct{ err error }

func (l noLog) Open(context.Context, logsource.Launch) (*logsource.Log, error) { return nil, l.err }

// Nobody asks for a private pod by a name: what is about names says so before it touches
// anything. And a pod without a name has to be private.
func TestPrivateHasNoName(t *testing.T) {
	r := newPrivateRig(t, podrig.Serve...)
	pointer, named := r.L, r.L
	pointer.Dir, named.Dir = &runtimedir.Temp{}, runtimedir.Dir(r.Base)
	reclaim := r.L
	reclaim.Reclaim = true
	launch := func(l launcher.Launcher, name string) error {
		_, err := l.Launch(t.Context(), launcher.Spec{Name: name})
		return err
	}
	for _, c := range []struct {
		name string
		call func() error
		want error
		says string
	}{
		{"Attach", func() error { _, err := r.L.Attach(t.Context(), "alice"); return err }, errors.ErrUnsupported, "no attach"},
		{"Ensure", func() error { _, _, err := r.L.Ensure(t.Context(), launcher.Spec{}); return err }, errors.ErrUnsupported, "no ensure"},
		{"Ensure a name", func() error { _, _, err := r.L.Ensure(t.Context(), launcher.Spec{Name: "alice"}); return err }, errors.ErrUnsupported, "no ensure"},
		{"Stop", func() error { return r.L.Stop(t.Context(), "alice") }, errors.ErrUnsupported, "no stop"},
		{"Remove", func() error { return r.L.Remove(t.Context(), "alice") }, errors.ErrUnsupported, "no remove"},
		{"List", func() (err error) {
			for _, err = range r.L.List(t.Context()) {
			}
			return err
		}, errors.ErrUnsupported, "no list"},
		{"Reclaim", func() error { return launch(reclaim, "") }, launcher.ErrInvalidSpec, "Launcher.Reclaim"},
		{"a name", func() error { return launch(r.L, "alice") }, launcher.ErrInvalidSpec, `"alice"`},
		{"a name, and a pointer", func() error { return launch(pointer, "alice") }, launcher.ErrInvalidSpec, `"alice"`},
		{"no name", func() error { return launch(named, "") }, runtimedir.ErrInvalidName, "runtimedir.Temp{}"},
	} {
		t.Run(c.name, func(t *testing.T) {
			err := c.call()
			if err == nil {
				t.Fatal("there is no error")
			}
			podrig.MustBe(t, err, c.want)
			podrig.MustSay(t, err, c.says)
			r.mustBeEmpty(t)
		})
	}
}

// A private pod that was released keeps its directory while it runs, also if it has
// closed its descriptors, and its lock with them. The next launch removes it once the
// pod has gone.
func TestPrivatePodReleased(t *testing.T) {
	for _, steps := range [][]string{
		{"listen", "ready", "hang"},
		{"listen", "closefrom 20", "ready", "hang"},
		{"undumpable", "listen", "closefrom 20", "ready", "hang"}, // another user than root cannot see its environment
	} {
		t.Run(fmt.Sprint(steps), func(t *testing.T) {
			r := newPrivateRig(t, steps...)
			released, err := r.L.Launch(t.Context(), launcher.Spec{})
			if err != nil {
				t.Fatal(err)
			}
			released.Release()
			next := func() {
				if err := r.launch(t, launcher.Spec{}).Stop(t.Context()); err != nil {
					t.Error(err)
				}
			}
			next()
			if _, err := os.Lstat(filepath.Join(released.RuntimeDir(), "sock")); err != nil {
				t.Errorf("the socket of a pod that runs: %v", err)
			}
			if err := syscall.Kill(released.PID(), syscall.SIGKILL); err != nil {
				t.Fatal(err)
			}
			// Until it is a zombie, and so has closed everything.
			if err := unix.Waitid(unix.P_PID, released.PID(), nil, unix.WEXITED|unix.WNOWAIT, nil); err != nil {
				t.Fatal(err)
			}
			next()
			r.mustBeEmpty(t)
		})
	}
}

// What a private pod leaves behind goes on, and its directory does not stay for it. Stop
// still ends who can be found.
func TestPrivatePodLeavesAChild(t *testing.T) {
	r := newPrivateRig(t)
	gate, up, child := r.Fifo("gate"), r.Fifo("up"), filepath.Join(r.Base, "child")
	r.L.Command = podrig.Script("setsid pid "+child+" ; notify "+up+" ; hang", "await "+up, "listen", "ready", "await "+gate, "exit 0")
	pod := r.launch(t, launcher.Spec{})
	podrig.Wake(t, gate)
	<-pod.Done()
	r.mustBeEmpty(t)
	pid, err := os.ReadFile(child)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat("/proc/" + string(pid)); err != nil {
		t.Errorf("its child has gone with it: %v", err)
	}
	if err := pod.Stop(t.Context()); err != nil {
		t.Error(err)
	}
}
