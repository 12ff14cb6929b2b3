//go:build linux

package launcher_test

import (
	"context"
	"debug/elf"
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/uuid"

	"github.com/podlaunch/podlaunch/launcher"
	"github.com/podlaunch/podlaunch/launcher/internal/fakepod"
	"github.com/podlaunch/podlaunch/launcher/internal/leaktest"
	"github.com/podlaunch/podlaunch/launcher/internal/podrig"
	"github.com/podlaunch/podlaunch/readiness"
)

// mustDiffer fails the test unless spec asks for a pod that differs in want from pod,
// and from the same pod as another launcher has it that has attached to it.
func (r *rig) mustDiffer(what string, pod *launcher.Pod, spec launcher.Spec, want ...string) {
	r.T.Helper()
	for how, p := range map[string]*launcher.Pod{"the pod launched": pod, "the pod attached to": r.MustAttach(pod)} {
		if parts, err := p.Differs(spec); err != nil || !slices.Equal(parts, want) {
			r.T.Errorf("%s: %s differs in %q, %v; want %q", what, how, parts, err, want)
		}
	}
}

// Each part that is changed is named, alone; what is the same is not, and neither
// is what no process is given.
func TestDiffers(t *testing.T) {
	for _, transport := range []launcher.OverlayTransport{launcher.OverlayAsArgument, launcher.OverlayAsFile, launcher.OverlayAsDescriptor} {
		t.Run(transport.String(), func(t *testing.T) {
			r := overlayRig(t, transport, podrig.Serve...)
			asked := launcher.Spec{Name: "alice", Overlay: "name = \"alice\"\n", Args: []string{"a b", "c"}, Env: []string{"A=1", "B=2"}, Dir: r.Base}
			pod := r.Launch(asked)
			for _, c := range []struct {
				what   string
				change func(s *launcher.Spec)
				want   []string
			}{
				{"nothing", func(s *launcher.Spec) {}, nil},
				{"no name", func(s *launcher.Spec) { s.Name = "" }, nil},
				{"stdout and progress", func(s *launcher.Spec) { s.LogStdout, s.Progress = true, func(string) {} }, nil},
				{"the order of variables", func(s *launcher.Spec) { s.Env = []string{"B=2", "A=1"} }, nil},
				{"a variable that another value hides", func(s *launcher.Spec) { s.Env = []string{"A=0", "A=1", "B=2"} }, nil},
				{"who calls", func(s *launcher.Spec) { s.Env = []string{"A=1", "B=2", "SHLVL=7", "_=/bin/x", "INVOCATION_ID=1"} }, nil},
				{"the same directory, relative", func(s *launcher.Spec) { s.Dir, _ = filepath.Rel(must(os.Getwd()), r.Base) }, nil},
				{"arguments", func(s *launcher.Spec) { s.Args = []string{"a b", "d"} }, []string{"arguments"}},
				{"where an argument ends", func(s *launcher.Spec) { s.Args = []string{"a", "b", "c"} }, []string{"arguments"}},
				{"where two arguments end", func(s *launcher.Spec) { s.Args = []string{"a ", "bc"} }, []string{"arguments"}},
				{"session", func(s *launcher.Spec) { s.Session = uuid.New() }, []string{"arguments"}},
				{"overlay", func(s *launcher.Spec) { s.Overlay = "name = \"bob\"\n" }, []string{"overlay"}},
				{"a value", func(s *launcher.Spec) { s.Env = []string{"A=1", "B=3"} }, []string{"environment"}},
				{"a variable more", func(s *launcher.Spec) { s.Env = append(slices.Clone(s.Env), "C=") }, []string{"environment"}},
				{"no variables", func(s *launcher.Spec) { s.Env = []string{} }, []string{"environment"}},
				{"the caller's variables", func(s *launcher.Spec) { s.Env = nil }, []string{"environment"}},
				{"directory", func(s *launcher.Spec) { s.Dir = "/" }, []string{"directory"}},
				{"all of it", func(s *launcher.Spec) { *s = launcher.Spec{Overlay: "x", Dir: "/"} }, []string{"arguments", "overlay", "environment", "directory"}},
			} {
				spec := asked
				c.change(&spec)
				r.mustDiffer(c.what, pod, spec, c.want...)
			}
		})
	}
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

// The caller's environment counts where the spec has none, also if that is of another
// place: PWD does not.
func TestDiffersInTheCallersEnvironment(t *testing.T) {
	r := newRig(t, podrig.Serve...)
	t.Setenv("NOTIFY_SOCKET", "/run/manager")
	pod := r.Launch(launcher.Spec{Name: "alice"})
	t.Setenv("NOTIFY_SOCKET", "/run/another")
	t.Setenv("SHLVL", "17")
	r.mustDiffer("nothing", pod, podrig.Alice)
	r.mustDiffer("directory", pod, launcher.Spec{Dir: r.Base}, "directory")
	t.Setenv("PODLAUNCH_TEST_DIFFERS", "1")
	r.mustDiffer("a variable", pod, podrig.Alice, "environment")
}

// The overlay is a part of its own, wherever the resolver puts it. An overlay that was
// empty is one, too.
func TestDiffersInTheOverlay(t *testing.T) {
	leaktest.Parallel(t)
	r := newRig(t)
	resolver := func(words func(overlay string) (args, env []string)) launcher.CommandResolver {
		return launcher.CommandResolverFunc(func(_ context.Context, req launcher.Request) (launcher.Command, error) {
			args, env := words(req.Spec.Overlay)
			return launcher.Command{Path: podrig.Pod, Args: fakepod.Args("alice", req.RuntimeDir, podrig.Serve, args), Env: env}, nil
		})
	}
	for what, words := range map[string]func(string) (args, env []string){
		"an argument":     func(o string) ([]string, []string) { return []string{"--overlay", o}, []string{} },
		"in an argument":  func(o string) ([]string, []string) { return []string{"-x" + o + "-y"}, []string{} },
		"in a variable":   func(o string) ([]string, []string) { return nil, []string{"OVERLAY=" + o} },
		"in two of them":  func(o string) ([]string, []string) { return []string{o}, []string{"OVERLAY=" + o} },
		"in no parameter": func(o string) ([]string, []string) { return nil, []string{} },
	} {
		r.L.Command = resolver(words)
		pod := r.Launch(launcher.Spec{Name: "alice", Overlay: "a = 1"})
		r.mustDiffer(what+": the same", pod, launcher.Spec{Overlay: "a = 1"})
		r.mustDiffer(what+": another", pod, launcher.Spec{Overlay: "b = 22"}, "overlay")
		mustStop(t, pod)
	}
	r.follow(podrig.Serve...)
	pod := r.Launch(podrig.Alice)
	r.mustDiffer("an overlay in place of an empty one", pod, launcher.Spec{Overlay: "a = 1"}, "overlay")
	mustStop(t, pod)
	pod = r.Launch(launcher.Spec{Name: "alice", Overlay: "a = 1"})
	r.mustDiffer("an empty overlay", pod, podrig.Alice, "overlay")
}

// Another way for the overlay is another argument; the path of its file is none.
func TestDiffersInTheTransport(t *testing.T) {
	spec := launcher.Spec{Name: "alice", Overlay: secretOverlay}
	for _, c := range []struct {
		was, is launcher.OverlayTransport
		want    []string
	}{
		{launcher.OverlayAsArgument, launcher.OverlayAsFile, []string{"arguments"}},
		{launcher.OverlayAsDescriptor, launcher.OverlayAsArgument, []string{"arguments"}},
		{launcher.OverlayAsFile, launcher.OverlayAsDescriptor, nil},
	} {
		r := overlayRig(t, c.was, podrig.Serve...)
		pod := r.Launch(spec)
		other := r.L
		other.OverlayTransport = c.is
		again, err := other.Attach(t.Context(), "alice")
		if err != nil {
			t.Fatal(err)
		}
		if parts, err := again.Differs(spec); err != nil || !slices.Equal(parts, c.want) {
			t.Errorf("from %v to %v it differs in %q, %v; want %q", c.was, c.is, parts, err, c.want)
		}
		again.Release()
		mustStop(t, pod)
	}
}

// What a probe adds is new in every launch, and no difference.
func TestDiffersWithProbes(t *testing.T) {
	leaktest.Parallel(t)
	added := preparer(func(_ context.Context, s *readiness.Setup) (readiness.Probe, error) {
		s.Env, s.PIDEnv = append(s.Env, "TICKET="+uuid.NewString(), "A=hidden"), append(s.PIDEnv, "OWN_PID")
		return nil, nil
	})
	for name, c := range map[string]struct {
		ready readiness.Probe
		steps []string
	}{
		"default":      {nil, podrig.Serve},
		"notify":       {readiness.NotifySocket{}, []string{"notify-socket READY=1", "hang"}},
		"listener":     {readiness.Listener{}, []string{"accept-fd 3", "hang"}},
		"of one's own": {added, podrig.Serve},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, c.steps...)
			r.L.Ready = c.ready
			spec := launcher.Spec{Name: "alice", Env: []string{"A=1"}, Dir: r.Base, Overlay: r.Base}
			pod := r.Launch(spec)
			r.mustDiffer("nothing", pod, spec)
			mustStop(t, pod)
			if parts, err := pod.Differs(spec); parts != nil || err != nil {
				t.Errorf("once it is gone: %q, %v", parts, err)
			}
			r.mustNotShare(spec)
		})
	}
}

// mustNotShare fails the test if two launches of spec have a digest in common, or two
// parts of one, or if there are none.
func (r *rig) mustNotShare(spec launcher.Spec) {
	r.T.Helper()
	var all []string
	for range 2 {
		pod := r.Launch(spec)
		r.EditRecord(func(record map[string]any) {
			for _, digest := range record["digests"].(map[string]any) {
				all = append(all, digest.(string))
			}
		})
		mustStop(r.T, pod)
	}
	slices.Sort(all)
	if n := len(slices.Compact(slices.Clone(all))); n != len(all) || n < 12 {
		r.T.Errorf("two launches have these digests: %q", all)
	}
}

// installPod puts a copy of the fake pod at path, as a program is installed: beside
// it, and then in its place. edit changes it before.
func installPod(t *testing.T, path string, edit func(text []byte)) {
	t.Helper()
	text, err := os.ReadFile(podrig.Pod)
	if err != nil {
		t.Fatal(err)
	}
	edit(text)
	if err := errors.Join(os.WriteFile(path+".new", text, 0o700), os.Rename(path+".new", path)); err != nil {
		t.Fatal(err)
	}
}

// another makes another build of a program, of the same size.
func another(t *testing.T) func(text []byte) {
	t.Helper()
	f, err := elf.Open(podrig.Pod)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	note := f.Section(".note.gnu.build-id")
	if note == nil {
		t.Fatal("the fake pod has no GNU build id")
	}
	return func(text []byte) { text[note.Offset+note.Size-1]++ }
}

// programRig returns a rig whose pods run the program at path.
func programRig(t *testing.T) (r *rig, path string) {
	r = newRig(t)
	path = filepath.Join(r.Base, "program")
	r.L.Command = launcher.CommandResolverFunc(func(ctx context.Context, req launcher.Request) (launcher.Command, error) {
		cmd, err := podrig.Script(podrig.Serve...).ResolveCommand(ctx, req)
		cmd.Path = path
		return cmd, err
	})
	return r, path
}

// Of a program that has a build id that decides, also if the file is another one by its
// size or its time. A program that cannot be read has none.
func TestDiffersInTheProgram(t *testing.T) {
	leaktest.Parallel(t)
	same := func([]byte) {}
	future := time.Now().Add(time.Hour)
	for _, c := range []struct {
		what    string
		replace func(path string)
		want    []string
	}{
		{"touched", func(path string) { os.Chtimes(path, future, future) }, nil},
		{"copied", func(path string) { installPod(t, path, same) }, nil},
		{"built anew", func(path string) { installPod(t, path, another(t)) }, []string{"program"}},
		{"built anew, at the same time", func(path string) {
			fi := must(os.Stat(path))
			installPod(t, path, another(t))
			os.Chtimes(path, fi.ModTime(), fi.ModTime())
		}, []string{"program"}},
		{"replaced by a script", func(path string) {
			os.Remove(path)
			os.WriteFile(path, []byte("#!/bin/sh\n"), 0o700)
		}, []string{"program"}},
		{"deleted", func(path string) { os.Remove(path) }, []string{"program"}},
	} {
		t.Run(c.what, func(t *testing.T) {
			r, path := programRig(t)
			installPod(t, path, same)
			pod := r.Launch(podrig.Alice)
			c.replace(path)
			r.mustDiffer(c.what, pod, podrig.Alice, c.want...)
			mustStop(t, pod)
		})
	}
}

// A script has no build id: size and time decide.
func TestDiffersInAScript(t *testing.T) {
	script := "#!/bin/sh\nexec " + podrig.Pod + ` "$@"` + "\n"
	r, path := programRig(t)
	r.file("program", script, 0o700)
	pod := r.Launch(podrig.Alice)
	at := must(os.Stat(path)).ModTime()
	for _, c := range []struct {
		what, content string
		at            time.Time
		want          []string
	}{
		{"as it was", script, at, nil},
		{"longer", script + "# edited\n", at, []string{"program"}},
		{"younger", script, at.Add(time.Nanosecond), []string{"program"}},
		{"as it was once more", script, at, nil},
	} {
		r.file("program", c.content, 0o700)
		if err := os.Chtimes(path, at, c.at); err != nil {
			t.Fatal(err)
		}
		r.mustDiffer("a script that is "+c.what, pod, podrig.Alice, c.want...)
	}
	mustStop(t, pod)
}

// The command is its path, and the file is another matter.
func TestDiffersInTheCommand(t *testing.T) {
	r, path := programRig(t)
	installPod(t, path, func([]byte) {})
	pod := r.Launch(podrig.Alice)
	r.L.Command = podrig.Script(podrig.Serve...)
	again, err := r.L.Attach(t.Context(), "alice")
	if err != nil {
		t.Fatal(err)
	}
	defer again.Release()
	if parts, err := again.Differs(podrig.Alice); err != nil || !slices.Equal(parts, []string{"command"}) {
		t.Errorf("it differs in %q, %v", parts, err)
	}
	mustStop(t, pod)
}

// A pod on another machine is compared as any other one.
func TestDiffersElsewhere(t *testing.T) {
	l := elsewhere(t, new(cluster))
	spec := launcher.Spec{Name: "web", Args: []string{"a"}}
	pod, err := l.Launch(t.Context(), spec)
	if err != nil {
		t.Fatal(err)
	}
	again, err := l.Attach(t.Context(), "web")
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range []*launcher.Pod{pod, again} {
		if parts, err := p.Differs(spec); parts != nil || err != nil {
			t.Errorf("the same spec: %q, %v", parts, err)
		}
		if parts, err := p.Differs(launcher.Spec{}); err != nil || !slices.Equal(parts, []string{"arguments"}) {
			t.Errorf("without its argument: %q, %v", parts, err)
		}
	}
	again.Release()
	mustStop(t, pod)
}

// A record of an earlier version of the library does not tell: that is an error, and
// the pod is there all the same.
func TestDiffersFromAnOldRecord(t *testing.T) {
	for what, edit := range map[string]func(record map[string]any){
		"version 3 without digests":            func(record map[string]any) { delete(record, "digests") },
		"version 3 with digests that are none": func(record map[string]any) { record["digests"] = map[string]any{} },
		"version 1": func(record map[string]any) {
			delete(record, "digests")
			delete(record, "launcher")
			record["version"] = 1
		},
	} {
		t.Run(what, func(t *testing.T) {
			r := newRig(t, podrig.Serve...)
			pod := r.Launch(podrig.Alice)
			r.EditRecord(edit)
			again := r.MustAttach(pod)
			parts, err := again.Differs(podrig.Alice)
			if parts != nil || !errors.Is(err, errors.ErrUnsupported) {
				t.Fatalf("it differs in %q, %v", parts, err)
			}
			podrig.MustSay(t, err, "compare pod alice with a spec: ", "another version of this library")
			mustStop(t, pod)
		})
	}
}

// Neither the overlay nor the environment is in the record, nor in an error.
func TestDigestsKeepSecrets(t *testing.T) {
	for _, transport := range []launcher.OverlayTransport{launcher.OverlayAsArgument, launcher.OverlayAsFile, launcher.OverlayAsDescriptor} {
		r := overlayRig(t, transport, podrig.Serve...)
		token := uuid.NewString()
		spec := launcher.Spec{Name: "alice", Overlay: secretOverlay, Env: []string{"TOKEN=" + token}}
		pod := r.Launch(spec)
		record := readFile(t, r.Beside("alice", ".json"))
		if !strings.Contains(record, `"digests":{"command":"`) {
			t.Errorf("the record has no digests: %s", record)
		}
		for _, secret := range append(strings.Split(secretOverlay, "\""), token, "TOKEN", "password") {
			if secret = strings.TrimSpace(secret); secret != "" && strings.Contains(record, secret) {
				t.Errorf("%v: the record tells %q: %s", transport, secret, record)
			}
		}
		spec.Dir = filepath.Join(r.Base, "none")
		if _, err := pod.Differs(spec); err == nil || strings.Contains(err.Error(), token) || strings.Contains(err.Error(), "password") {
			t.Errorf("%v", err)
		}
		mustStop(t, pod)
	}
}

// What cannot be launched cannot be compared. The error says so once, with the name.
func TestDiffersFails(t *testing.T) {
	r := newRig(t, podrig.Serve...)
	pod := r.Launch(podrig.Alice)
	var sick error
	well := r.L.Command
	r.L.Command = launcher.CommandResolverFunc(func(ctx context.Context, req launcher.Request) (launcher.Command, error) {
		if sick != nil {
			return launcher.Command{}, sick
		}
		return well.ResolveCommand(ctx, req)
	})
	again := r.MustAttach(pod)
	for _, c := range []struct {
		spec launcher.Spec
		sick error
		is   error
		says string
	}{
		{launcher.Spec{Name: "bob"}, nil, launcher.ErrInvalidSpec, `Name is "bob"`},
		{launcher.Spec{Overlay: "\x00"}, nil, launcher.ErrInvalidSpec, "Overlay holds a NUL"},
		{launcher.Spec{Args: []string{"\x00"}}, nil, launcher.ErrInvalidSpec, "Args[0]"},
		{launcher.Spec{Dir: "/none"}, nil, fs.ErrNotExist, "/none"},
		{podrig.Alice, errSick, errSick, "resolve the command: " + errSick.Error()},
		{podrig.Alice, &launcher.NotFoundError{Program: "pod"}, exec.ErrNotFound, `program "pod"`},
	} {
		sick = c.sick
		parts, err := again.Differs(c.spec)
		if parts != nil || !errors.Is(err, c.is) {
			t.Errorf("%+v: %q, %v", c.spec, parts, err)
			continue
		}
		podrig.MustSay(t, err, c.says)
		if text, ok := strings.CutPrefix(err.Error(), "compare pod alice with a spec: "); !ok || strings.Contains(text, "compare") || strings.Contains(text, "alice") {
			t.Errorf("it says %q", err)
		}
	}
	sick = nil
	if parts, err := again.Differs(podrig.Alice); parts != nil || err != nil {
		t.Errorf("the same spec: %q, %v", parts, err)
	}
	r.L.OverlayTransport = launcher.OverlayAsFile
	again = r.MustAttach(pod)
	if _, err := again.Differs(launcher.Spec{Overlay: "a = 1"}); !errors.Is(err, launcher.ErrInvalidSpec) {
		t.Errorf("the resolver does not pass the overlay's path: %v", err)
	}
}

// A resolver that hangs is left alone after Launcher.Timeout, whether it listens to its
// context or not. A resolver that panics does so in the caller.
func TestDiffersIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake(t)
		release := make(chan struct{})
		var resolve atomic.Pointer[func(ctx context.Context) error]
		f.l.Timeout = time.Minute
		f.l.Command = launcher.CommandResolverFunc(func(ctx context.Context, _ launcher.Request) (launcher.Command, error) {
			var err error
			if f := resolve.Load(); f != nil {
				err = (*f)(ctx)
			}
			return launcher.Command{Path: "/bin/sh"}, err
		})
		f.log.write("INSOMNIA-READY\talice\t/sock\n")
		f.l.Ready = readiness.ReadyLine{}
		pod, err := f.l.Launch(t.Context(), podrig.Alice)
		if err != nil {
			t.Fatal(err)
		}
		for what, hang := range map[string]func(ctx context.Context) error{
			"listens": func(ctx context.Context) error { <-ctx.Done(); return context.Cause(ctx) },
			"is deaf": func(context.Context) error { <-release; return nil },
		} {
			resolve.Store(&hang)
			began := time.Now()
			parts, err := pod.Differs(podrig.Alice)
			if took := time.Since(began); took < time.Minute || took > time.Minute+time.Second {
				t.Errorf("a resolver that %s: after %v", what, took)
			}
			if parts != nil || !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("a resolver that %s: %q, %v", what, parts, err)
			}
		}
		close(release)
		sick := func(context.Context) error { panic(errSick) }
		resolve.Store(&sick)
		if panicked, _ := catch(func() { pod.Differs(podrig.Alice) }); panicked != error(errSick) {
			t.Errorf("it panicked with %v", panicked)
		}
		mustStop(t, pod)
	})
}
