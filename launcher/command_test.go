//go:build linux

package launcher_test

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/google/uuid"

	"github.com/podlaunch/podlaunch/launcher"
	"github.com/podlaunch/podlaunch/launcher/internal/fakepod"
	"github.com/podlaunch/podlaunch/launcher/internal/leaktest"
	"github.com/podlaunch/podlaunch/launcher/internal/podrig"
)

// programs makes a directory with an executable called each of names, and
// returns its path.
func programs(t *testing.T, names ...string) string {
	t.Helper()
	dir := t.TempDir()
	for _, name := range names {
		if err := os.WriteFile(filepath.Join(dir, name), []byte("#!/bin/sh\n"), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// Row 2: $INSOMNIA_POD_COMMAND if set and not empty, else pod; without a slash
// from PATH, with one from the caller's directory. Each of the two names is a
// field.
func TestPodCommandFindsItsProgram(t *testing.T) {
	first, second, here := programs(t, "one"), programs(t, "pod", "one", "other"), programs(t, "pod", "two words")
	t.Setenv("PATH", first+":"+second)
	t.Chdir(here)
	for _, c := range []struct {
		name    string
		command launcher.PodCommand
		env     string // the variable's value
		want    string
	}{
		{"the default", launcher.PodCommand{}, "", second + "/pod"},
		{"another program", launcher.PodCommand{Program: "other"}, "", second + "/other"},
		{"a program with a slash", launcher.PodCommand{Program: "./pod"}, "", here + "/pod"},
		{"the first on PATH", launcher.PodCommand{Program: "one"}, "", first + "/one"},
		{"the variable", launcher.PodCommand{}, "one", first + "/one"},
		{"the variable before another program", launcher.PodCommand{Program: "other"}, "one", first + "/one"},
		{"the variable, a relative path", launcher.PodCommand{}, "../" + filepath.Base(here) + "/pod", here + "/pod"},
		{"the variable, an absolute path", launcher.PodCommand{}, second + "/other", second + "/other"},
		{"the variable is one word", launcher.PodCommand{}, "./two words", here + "/two words"},
	} {
		for _, variable := range []string{"", "MY_POD"} {
			t.Run(c.name+" "+variable, func(t *testing.T) {
				c.command.Env = variable
				if variable == "" {
					variable = launcher.DefaultCommandEnv
				}
				t.Setenv(variable, c.env)
				cmd, err := c.command.ResolveCommand(t.Context(), launcher.Request{})
				if err != nil || cmd.Path != c.want {
					t.Errorf("resolved to %q, %v, want %q", cmd.Path, err, c.want)
				}
			})
		}
	}
}

// Row 5: --overlay always, even if it is empty, then --session when resuming.
// Leading arguments come before them, Spec.Args last.
func TestPodArguments(t *testing.T) {
	session := uuid.MustParse("6ba7b810-9dad-11d1-80b4-00c04fd430c8")
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	lead := []string{"worker", "-v"}
	for _, c := range []struct {
		name    string
		command launcher.CommandResolver
		spec    launcher.Spec
		want    []string
	}{
		{"nothing given", launcher.PodCommand{Program: self}, launcher.Spec{}, []string{"--overlay", ""}},
		{"all given", launcher.PodCommand{Program: self, Args: lead},
			launcher.Spec{Overlay: "a = 1\n", Session: session, Args: []string{"x", ""}},
			[]string{"worker", "-v", "--overlay", "a = 1\n", "--session", session.String(), "x", ""}},
		{"Path", launcher.Path(self), launcher.Spec{Overlay: "a", Args: []string{"x"}}, []string{"--overlay", "a", "x"}},
		{"Self", launcher.Self{Args: lead}, launcher.Spec{Session: session}, []string{"worker", "-v", "--overlay", "", "--session", session.String()}},
		{"Exec", launcher.Exec(self, lead...), launcher.Spec{Args: []string{"x"}}, []string{"worker", "-v", "x"}},
		{"First", launcher.First{launcher.Path("/nowhere"), launcher.Path(self)}, launcher.Spec{}, []string{"--overlay", ""}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Setenv(launcher.DefaultCommandEnv, "")
			c.spec.Env = []string{"A=1"}
			cmd, err := c.command.ResolveCommand(t.Context(), launcher.Request{Spec: c.spec})
			if err != nil {
				t.Fatal(err)
			}
			if diff := difference(launcher.Command{Path: self, Args: c.want, Env: c.spec.Env}, cmd); diff != "" {
				t.Errorf("command (-want +got):\n%s", diff)
			}
		})
	}
}

// W16: words in braces in the arguments of Exec stand for what a launch knows,
// and everything else stays as it is.
func TestExecFillsIn(t *testing.T) {
	req := launcher.Request{Spec: launcher.Spec{Name: "{dir}", Args: []string{"{name}"}}, RuntimeDir: "/run/{sock}"}
	for arg, want := range map[string]string{
		"{name}":              "{dir}", // what is put in is not looked at again
		"{dir}":               "/run/{sock}",
		"--unix={sock},x":     "--unix=/run/{sock}/sock,x",
		"{dir}/{name}.pid":    "/run/{sock}/{dir}.pid",
		"{{name}}":            "{{dir}}",
		"{Name} {} {pid} {na": "{Name} {} {pid} {na",
		"":                    "",
	} {
		cmd, err := launcher.Exec("/bin/sh", arg).ResolveCommand(t.Context(), req)
		if err != nil {
			t.Fatal(err)
		}
		if diff := difference([]string{want, "{name}"}, cmd.Args); diff != "" {
			t.Errorf("%q (-want +got):\n%s", arg, diff)
		}
	}
}

// A resolver is a value without state of a launch: it shares no slice with
// another launch's command, nor with its caller.
func TestCommandsShareNothing(t *testing.T) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	t.Setenv(launcher.DefaultCommandEnv, "")
	lead := append(make([]string, 0, 16), "worker") // with room to append to
	for name, command := range map[string]launcher.CommandResolver{
		"PodCommand": launcher.PodCommand{Program: self, Args: lead},
		"Self":       launcher.Self{Args: lead},
		"Exec":       launcher.Exec(self, lead...),
	} {
		var all sync.WaitGroup
		got := make([]launcher.Command, 20)
		for i := range got {
			all.Go(func() {
				spec := launcher.Spec{Args: append(make([]string, 0, 16), fmt.Sprint(i))}
				got[i], _ = command.ResolveCommand(t.Context(), launcher.Request{Spec: spec})
			})
		}
		all.Wait()
		for i, cmd := range got {
			if n := len(cmd.Args); n < 2 || cmd.Args[0] != "worker" || cmd.Args[n-1] != fmt.Sprint(i) {
				t.Errorf("%s: launch %d got the arguments %q", name, i, cmd.Args)
			}
		}
	}
	own := []string{"a"}
	command := launcher.Exec(self, own...)
	own[0] = "b"
	if cmd, _ := command.ResolveCommand(t.Context(), launcher.Request{}); !slices.Equal(cmd.Args, []string{"a"}) {
		t.Errorf("Exec has kept its caller's slice: %q", cmd.Args)
	}
}

// Row 2: what is not found says where it was looked for, what was wrong there,
// and who asked for it.
func TestNotFound(t *testing.T) {
	empty, odd := programs(t), programs(t)
	if err := os.Mkdir(filepath.Join(odd, "pod"), 0o700); err != nil {
		t.Fatal(err)
	}
	plain := programs(t)
	if err := os.WriteFile(filepath.Join(plain, "pod"), []byte("#!/bin/sh\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", empty+":"+odd+":"+plain+":no/such")
	t.Setenv("NAMED", "./missing")
	t.Setenv("UNSET", "")
	t.Chdir(empty)
	for _, c := range []struct {
		name    string
		command launcher.CommandResolver
		want    string
		tried   []string
		is      []error
	}{
		{"on PATH", launcher.PodCommand{Env: "UNSET"}, `program "pod" (default, for $UNSET is not set) not found: tried ` +
			empty + "/pod (no such file or directory); " + odd + "/pod (is a directory); " + plain + "/pod (permission denied); ./no/such/pod (no such file or directory)",
			[]string{empty + "/pod", odd + "/pod", plain + "/pod", "./no/such/pod"},
			[]error{fs.ErrNotExist, syscall.EISDIR, fs.ErrPermission}},
		{"by the variable", launcher.PodCommand{Env: "NAMED"}, `program "./missing" (from $NAMED) not found: tried ` + empty + "/missing (no such file or directory)",
			[]string{empty + "/missing"}, []error{fs.ErrNotExist}},
		{"Path", launcher.Path("missing"), `program "missing" (launcher.Path) not found: tried ` + empty + "/missing (no such file or directory)",
			[]string{empty + "/missing"}, []error{fs.ErrNotExist}},
		{"Path is a directory", launcher.Path(odd), `program "` + odd + `" (launcher.Path) not found: tried ` + odd + " (is a directory)",
			[]string{odd}, []error{syscall.EISDIR}},
		{"Exec", launcher.Exec(plain + "/pod"), `program "` + plain + `/pod" (launcher.Exec) not found: tried ` + plain + "/pod (permission denied)",
			[]string{plain + "/pod"}, []error{fs.ErrPermission}},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := c.command.ResolveCommand(t.Context(), launcher.Request{})
			podrig.MustBe(t, err, append(c.is, exec.ErrNotFound)...)
			if err.Error() != c.want {
				t.Errorf("the error is\n%v\nwant\n%s", err, c.want)
			}
			var missed *launcher.NotFoundError
			if !errors.As(err, &missed) {
				t.Fatalf("the error is a %T", err)
			}
			var tried []string
			for _, place := range missed.Tried {
				tried = append(tried, place.Name)
			}
			if diff := difference(c.tried, tried); diff != "" {
				t.Errorf("tried (-want +got):\n%s", diff)
			}
		})
	}
	t.Setenv("PATH", "")
	_, err := launcher.Exec("pod").ResolveCommand(t.Context(), launcher.Request{})
	podrig.MustBe(t, err, exec.ErrNotFound)
	podrig.MustSay(t, err, "PATH is empty")
}

// Exec runs what is not written to be a pod, and so refuses what only a pod
// understands.
func TestExecTakesNoOverlay(t *testing.T) {
	r := newRefuser(t)
	r.L.Command = launcher.Exec(podrig.Pod)
	for field, spec := range map[string]launcher.Spec{
		"Overlay": {Name: "alice", Overlay: "secret = 1"},
		"Session": {Name: "alice", Session: uuid.New()},
	} {
		podrig.MustBe(t, r.refuse(t.Context(), spec, field+" is set", "launcher.Exec"), launcher.ErrInvalidSpec)
	}
}

// First goes on after exec.ErrNotFound, and after nothing else.
func TestFirst(t *testing.T) {
	broken := errors.New("the registry is down")
	fixed := func(cmd launcher.Command, err error) launcher.CommandResolver {
		return launcher.CommandResolverFunc(func(context.Context, launcher.Request) (launcher.Command, error) { return cmd, err })
	}
	found := fixed(launcher.Command{Path: "/found"}, nil)
	other := fixed(launcher.Command{Path: "/other"}, nil)
	missing := fixed(launcher.Command{Path: "/missing"}, fmt.Errorf("not in the store: %w", exec.ErrNotFound))
	for _, c := range []struct {
		name  string
		first launcher.First
		path  string
		is    []error
		says  string
	}{
		{"the first", launcher.First{found, other}, "/found", nil, ""},
		{"not found is passed over", launcher.First{missing, launcher.Path("/nowhere"), found}, "/found", nil, ""},
		{"of its own kind", launcher.First{launcher.First{missing}, found}, "/found", nil, ""},
		{"another error is final", launcher.First{missing, fixed(launcher.Command{}, broken), found}, "", []error{broken}, "registry is down"},
		{"ErrDot is final", launcher.First{fixed(launcher.Command{}, exec.ErrDot), found}, "", []error{exec.ErrDot}, ""},
		{"a file that is not there is final", launcher.First{fixed(launcher.Command{}, fs.ErrNotExist), found}, "", []error{fs.ErrNotExist}, ""},
		{"none", launcher.First{missing, launcher.Path("/nowhere")}, "", []error{exec.ErrNotFound, fs.ErrNotExist},
			"none of several commands was found; not in the store: executable file not found in $PATH; " +
				`program "/nowhere" (launcher.Path) not found: tried /nowhere (no such file or directory)`},
		{"empty", launcher.First{}, "", nil, "launcher.First: it is empty"},
		{"nil", nil, "", nil, "launcher.First: it is empty"},
		{"a nil in it", launcher.First{missing, nil}, "", nil, "launcher.First: resolver 1 of 2 is nil"},
	} {
		t.Run(c.name, func(t *testing.T) {
			cmd, err := c.first.ResolveCommand(t.Context(), launcher.Request{})
			if cmd.Path != c.path || (err == nil) != (c.path != "") {
				t.Fatalf("resolved to %q, %v", cmd.Path, err)
			}
			podrig.MustBe(t, err, c.is...)
			if err != nil {
				podrig.MustSay(t, err, c.says)
			}
		})
	}
}

// The launch checks what a resolver returns before it makes anything. The resolver learns
// where the pod will be.
func TestResolverIsChecked(t *testing.T) {
	r := newRefuser(t)
	var asked launcher.Request
	returns := func(cmd launcher.Command, err error) {
		r.L.Command = launcher.CommandResolverFunc(func(_ context.Context, req launcher.Request) (launcher.Command, error) {
			asked = req
			return cmd, err
		})
	}
	for _, path := range []string{"", "pod", "./pod", "../bin/pod"} {
		returns(launcher.Command{Path: path}, nil)
		e := r.refuse(t.Context(), launcher.Spec{Name: "alice"}, fmt.Sprintf("the resolver returned the path %q: it must be absolute", path))
		if e.Stage != launcher.StageResolve {
			t.Errorf("stage %q", e.Stage)
		}
	}
	broken := errors.New("the registry\nis down")
	returns(launcher.Command{}, broken)
	podrig.MustBe(t, r.refuse(t.Context(), launcher.Spec{Name: "alice", Args: []string{"x"}}, `launch alice: the registry\nis down (stage resolve,`), broken)
	if asked.RuntimeDir != r.Dir("alice") || asked.Spec.Name != "alice" || !slices.Equal(asked.Spec.Args, []string{"x"}) {
		t.Errorf("the resolver was asked for %+v", asked)
	}
}

// startError launches the program at path, which the system must refuse to
// start, and checks that the name can be launched afterwards.
func (r *rig) startError(path string, parts ...string) *launcher.Error {
	r.T.Helper()
	r.L.Command = launcher.CommandResolverFunc(func(context.Context, launcher.Request) (launcher.Command, error) {
		return launcher.Command{Path: path}, nil
	})
	e := r.Fail(r.T.Context(), launcher.Spec{Name: "alice"})
	if e.Stage != launcher.StageStart || e.PID != 0 || e.Command.Path != path {
		r.T.Errorf("%+v", e)
	}
	podrig.MustSay(r.T, e, append(parts, "exec "+path)...)
	return e
}

// file makes an executable file in the rig's base.
func (r *rig) file(name, content string, mode os.FileMode) string {
	r.T.Helper()
	path := filepath.Join(r.Base, name)
	if err := os.WriteFile(path, []byte(content), mode); err != nil {
		r.T.Fatal(err)
	}
	return path
}

// B20: a program that is missing, and one whose interpreter is: the system says
// the same of both.
func TestStartErrorMissing(t *testing.T) {
	r := newRig(t)
	e := r.startError(filepath.Join(r.Base, "missing"), "no such file or directory")
	podrig.MustBe(t, e, fs.ErrNotExist)
	lacking := r.file("script", "#!/no/such/interpreter -x\necho hello\n", 0o700)
	e = r.startError(lacking, `the program is there, its interpreter "/no/such/interpreter -x" is not`)
	podrig.MustBe(t, e, fs.ErrNotExist)

	// A program without a loader, where one can be made of another's.
	program, err := os.ReadFile("/bin/sh")
	if err != nil {
		t.Fatal(err)
	}
	if i := strings.Index(string(program), "\x00/lib"); i < 0 {
		t.Log("/bin/sh has no dynamic loader here")
	} else {
		copy(program[i+1:], "/bil")
		podrig.MustBe(t, r.startError(r.file("loaderless", string(program), 0o700), "the program is there, its dynamic loader is not"), fs.ErrNotExist)
	}
	r.Relaunch("alice")
}

// B21: the program is a file that is not executable, or a directory.
func TestStartErrorNotExecutable(t *testing.T) {
	r := newRig(t)
	e := r.startError(r.file("plain", "#!/bin/sh\n", 0o600), "it is not executable for us (mode -rw-------)")
	podrig.MustBe(t, e, fs.ErrPermission)
	dir := filepath.Join(r.Base, "dir")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	e = r.startError(dir, "drwx------")
	podrig.MustBe(t, e, fs.ErrPermission)
	r.Relaunch("alice")
}

// B22: a file that is no program: nothing, garbage, another machine's.
func TestStartErrorFormat(t *testing.T) {
	r := newRig(t)
	podrig.MustBe(t, r.startError(r.file("empty", "", 0o700), "the file is empty"), syscall.ENOEXEC)
	podrig.MustBe(t, r.startError(r.file("garbage", "echo hello\n", 0o700), "neither a program for", "nor a script"), syscall.ENOEXEC)
	foreign, err := os.ReadFile(podrig.Pod)
	if err != nil {
		t.Fatal(err)
	}
	foreign[18], foreign[19] = 0xfe, 0xfe // e_machine (elf(5)): there is none of that number
	podrig.MustBe(t, r.startError(r.file("foreign", string(foreign), 0o700), "neither a program for"), syscall.ENOEXEC)
	r.Relaunch("alice")
}

// B23: a program that is still open for writing is tried again. The file is
// closed when the starter first waits.
func TestStartErrorBusy(t *testing.T) {
	r := newRig(t)
	program, err := os.ReadFile(podrig.Pod)
	if err != nil {
		t.Fatal(err)
	}
	path := r.file("fresh", string(program), 0o700)
	writer, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	waited := false
	r.L.Starter = onWait{func() { waited = true; writer.Close() }}
	r.L.Command = launcher.Exec(path, fakepod.Args("alice", r.Dir("alice"), podrig.Serve, nil)...)
	podrig.Ping(t, r.Launch(launcher.Spec{Name: "alice"}))
	if !waited {
		t.Error("the program could be started while it was open for writing")
	}
}

// B23: a program that stays open for writing is an error after a moment, long before the
// deadline.
func TestStartErrorBusyForEver(t *testing.T) {
	leaktest.Parallel(t)
	r := newRig(t)
	path := r.file("busy", "#!/bin/sh\n", 0o700)
	writer, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer writer.Close()
	podrig.MustBe(t, r.startError(path, "somebody has the program open for writing"), syscall.ETXTBSY)

	// The caller may be gone sooner. Then the error says both.
	ctx, cancel := context.WithCancel(t.Context())
	r.L.Starter = onWait{cancel}
	e := r.Fail(ctx, launcher.Spec{Name: "alice"})
	podrig.MustBe(t, e, context.Canceled, syscall.ETXTBSY)
	r.Relaunch("alice")
}

// An onWait is the default Starter, and calls call when that first waits for
// something.
type onWait struct{ call func() }

func (o onWait) Start(ctx context.Context, req launcher.StartRequest) (launcher.Process, error) {
	return launcher.Local{}.Start(&hookedContext{Context: ctx, call: sync.OnceFunc(o.call)}, req)
}

type hookedContext struct {
	context.Context
	call func()
}

func (c *hookedContext) Done() <-chan struct{} {
	c.call()
	return c.Context.Done()
}
