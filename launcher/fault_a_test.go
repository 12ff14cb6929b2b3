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
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/podlaunch/podlaunch/launcher"
	"github.com/podlaunch/podlaunch/launcher/internal/fakepod"
	"github.com/podlaunch/podlaunch/launcher/internal/podrig"
	"github.com/podlaunch/podlaunch/readiness"
	"github.com/podlaunch/podlaunch/runtimedir"
)

// TestFaultA injects the faults of part A of the catalogue: bad input, from the
// caller (A1 to A18) and from the pod (A19 to A36).
func TestFaultA(t *testing.T) {
	for _, fault := range []struct {
		number string
		inject func(t *testing.T)
	}{
		{"A01", a01}, {"A02", a02}, {"A03", a03}, {"A04", a04}, {"A05", a05}, {"A06", a06},
		{"A07", a07}, {"A08", a08}, {"A09", a09}, {"A10", a10}, {"A11", a11}, {"A12", a12},
		{"A13", a13}, {"A14", a14}, {"A15", a15}, {"A16", a16}, {"A17", a17}, {"A18", a18},
		{"A19", a19}, {"A20", a20}, {"A21", a21}, {"A22", a22}, {"A23", a23}, {"A24", a24},
		{"A25", a25}, {"A26", a26}, {"A27", a27}, {"A28", a28}, {"A29", a29}, {"A30", a30},
		{"A31", a31}, {"A32", a32}, {"A33", a33}, {"A34", a34}, {"A35", a35}, {"A36", a36},
	} {
		t.Run(fault.number, fault.inject)
	}
}

// A refuser is a rig for launches that must be refused before anything is
// created or started. Its base does not exist yet.
type refuser struct {
	*rig
	parent string // of the base; nothing else is in it
}

func newRefuser(t *testing.T) refuser {
	t.Helper()
	r := newRig(t, podrig.Serve...)
	parent := r.Base
	r.Base = filepath.Join(parent, "base")
	r.L.Dir = runtimedir.Dir(r.Base)
	return refuser{r, parent}
}

// refuse launches what must be refused, and returns the error, whose message
// must hold each of parts.
func (r refuser) refuse(ctx context.Context, spec launcher.Spec, parts ...string) *launcher.Error {
	r.T.Helper()
	before := listing(r.T, r.parent)
	r.L.Starter = noStarter{r.T}
	e := r.Fail(ctx, spec)
	r.L.Starter = nil
	if diff := difference(before, listing(r.T, r.parent)); diff != "" {
		r.T.Errorf("%q was refused, and yet the disk has changed (-before +after):\n%s", spec.Name, diff)
	}
	if e.PID != 0 || e.LogPath != "" || e.Exit != nil || e.Tail != nil {
		r.T.Errorf("the error speaks of a process, and none was to be started: %+v", e)
	}
	podrig.MustSay(r.T, e, parts...)
	if len(e.Error()) > 4<<10 {
		r.T.Errorf("the message has %d bytes: %.200s", len(e.Error()), e)
	}
	return e
}

// A noStarter must not be called.
type noStarter struct{ t *testing.T }

func (s noStarter) Start(_ context.Context, req launcher.StartRequest) (launcher.Process, error) {
	s.t.Errorf("%q was refused, and yet it was to be started", req.Name)
	return nil, errors.New("nothing may be started")
}

// listing describes everything below dir. The times are in it so that what was
// created and removed again shows as well.
func listing(t *testing.T, dir string) (lines []string) {
	t.Helper()
	if err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		fi, err := d.Info()
		if err != nil {
			return err
		}
		lines = append(lines, fmt.Sprintf("%s %v %d %v", path, fi.Mode(), fi.Size(), fi.ModTime()))
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	return lines
}

// refuseNames launches under each of names, which must be refused with why.
func refuseNames(t *testing.T, why string, names ...string) {
	t.Helper()
	r := newRefuser(t)
	for _, name := range names {
		e := r.refuse(t.Context(), launcher.Spec{Name: name}, why)
		podrig.MustBe(t, e, runtimedir.ErrInvalidName)
		if e.Stage != launcher.StageDir {
			t.Errorf("%q was refused in stage %q", name, e.Stage)
		}
	}
}

// A1: a name that would leave the base, or go below it.
func a01(t *testing.T) {
	refuseNames(t, "a name is one element of a path", "a/b", "/abs", "a/", `a\b`, "a/../b")
	refuseNames(t, "begins with a dot", "../x", "../../etc", "./a")
}

// A2: names that are none, or that every directory has.
func a02(t *testing.T) {
	refuseNames(t, "it is empty", "")
	refuseNames(t, "begins with a dot", ".", "..")
}

// A3: a NUL, where the system would end the name.
func a03(t *testing.T) {
	refuseNames(t, "U+0000 at byte 1", "a\x00", "a\x00b")
	refuseNames(t, "U+0000 at byte 0", "\x00")
}

// A4: a line break would make two lines of the ready line.
func a04(t *testing.T) {
	refuseNames(t, "U+000A at byte 1", "a\nb", "a\n")
	refuseNames(t, "U+000D at byte 1", "a\rb", "a\r")
}

// A5: a tab separates the fields of the ready line.
func a05(t *testing.T) {
	refuseNames(t, "U+0009 at byte 1", "a\tb", "a\t")
}

// A6: the longest name works, one byte more does not.
func a06(t *testing.T) {
	for _, n := range []int{runtimedir.MaxName + 1, 255, 300, 1 << 20} {
		refuseNames(t, fmt.Sprintf("it has %d bytes, the limit is %d", n, runtimedir.MaxName), strings.Repeat("n", n))
	}
	r := newRig(t, "write \"INSOMNIA-READY\\t{name}\\t/nowhere\\n\"", "hang")
	r.L.Ready = readiness.ReadyLine{} // a socket's path could not be that long
	r.Launch(launcher.Spec{Name: strings.Repeat("n", runtimedir.MaxName)})
}

// A7: a path that is too long for a socket, at the limits of Linux and of the
// BSDs. The default probe needs one in the runtime directory, and so it is
// refused before anything starts; another probe tells when it has to dial it.
func a07(t *testing.T) {
	r := newRefuser(t)
	named := func(n int) string { return strings.Repeat("n", n-len(r.Base+"/"+"/sock")) }
	for _, n := range []int{103, 104, 107, 108, 200} {
		spec := launcher.Spec{Name: named(n)}
		if n <= runtimedir.MaxSocketPath {
			pod := r.Launch(spec)
			if got := len(pod.Endpoint().Address); got != n {
				t.Errorf("the socket's path has %d bytes, want %d", got, n)
			}
			mustStop(t, pod)
			continue
		}
		e := r.refuse(t.Context(), spec, filepath.Join(r.Dir(spec.Name), "sock"),
			fmt.Sprintf("has %d bytes, the limit is %d", n, runtimedir.MaxSocketPath), "choose a shorter")
		podrig.MustBe(t, e, runtimedir.ErrSocketPathTooLong, syscall.ENAMETOOLONG)
		var pathErr *runtimedir.SocketPathError
		if !errors.As(e, &pathErr) || len(pathErr.Path) != n || pathErr.Max != runtimedir.MaxSocketPath {
			t.Errorf("errors.As found %+v", pathErr)
		}
	}
	r.L.Command = podrig.Script("ready", "hang")
	r.L.Ready = readiness.Sequence{readiness.ReadyLine{}, readiness.Socket{}}
	e := r.Fail(t.Context(), launcher.Spec{Name: named(108)})
	podrig.MustBe(t, e, runtimedir.ErrSocketPathTooLong, syscall.ENAMETOOLONG)
	podrig.MustSay(t, e, "the path has 108 bytes")
	r.L.Ready = readiness.ReadyLine{}
	r.Launch(launcher.Spec{Name: named(200)})
}

// A8: any script and spaces are fine; what cannot be seen, or is not text, is
// not.
func a08(t *testing.T) {
	refuseNames(t, "U+202E at byte 1", "a\u202eb")
	refuseNames(t, "U+200B at byte 0", "\u200b")
	refuseNames(t, "U+2028 at byte 1", "a\u2028")
	refuseNames(t, "U+001B at byte 0", "\x1b[31m")
	refuseNames(t, "U+0085 at byte 1", "a\u0085")
	refuseNames(t, "begins or ends with a space", " ", " a", "a ")
	refuseNames(t, "U+3164 at byte 1", "a\u3164")
	refuseNames(t, "not valid UTF-8", "a\xff", "\xc3", "\xed\xa0\x80")
	r := newRig(t, podrig.Serve...)
	for _, name := range []string{"größe", "名前", "two words", "🙂", "a.b-c"} {
		podrig.Ping(t, r.Launch(launcher.Spec{Name: name}))
	}
}

// A9: a leading dot is the launcher's own, a leading dash reads as a flag.
func a09(t *testing.T) {
	refuseNames(t, "begins with a dot", ".hidden", "...")
	refuseNames(t, "begins with a dash", "-", "--overlay", "-v")
}

// A10: the longest overlay that the system takes as one argument arrives whole;
// one byte more is refused, and so is any other string of that length.
func a10(t *testing.T) {
	r := newRefuser(t)
	r.L.Command = launcher.PodCommand{Program: podrig.Pod}
	tooLong := strings.Repeat("x", launcher.MaxOverlay+1)
	e := r.refuse(t.Context(), launcher.Spec{Name: "alice", Overlay: tooLong}, "Overlay has 131072 bytes", "is 131071")
	podrig.MustBe(t, e, launcher.ErrInvalidSpec, syscall.E2BIG)
	e = r.refuse(t.Context(), launcher.Spec{Name: "alice", Args: []string{"", tooLong}}, "Args[1] has 131072 bytes", "is 131071")
	podrig.MustBe(t, e, launcher.ErrInvalidSpec, syscall.E2BIG)
	e = r.refuse(t.Context(), launcher.Spec{Name: "alice", Env: []string{tooLong}}, "Env[0] has 131072 bytes", "is 131071")
	podrig.MustBe(t, e, launcher.ErrInvalidSpec, syscall.E2BIG)

	// What a resolver makes of an overlay that fits may not fit.
	r.L.Command = launcher.CommandResolverFunc(func(_ context.Context, req launcher.Request) (launcher.Command, error) {
		return launcher.Command{Path: podrig.Pod, Args: []string{"--overlay=" + req.Spec.Overlay}}, nil
	})
	e = r.refuse(t.Context(), launcher.Spec{Name: "alice", Overlay: tooLong[1:]}, "Command.Args[0] has 131081 bytes", "is 131071")
	podrig.MustBe(t, e, syscall.E2BIG)

	seen := filepath.Join(r.parent, "args")
	steps := []string{"args " + seen, "listen", "ready", "hang"}
	r.L.Command = launcher.PodCommand{Program: podrig.Pod, Args: fakepod.Args("alice", r.Dir("alice"), steps, nil)}
	r.Launch(launcher.Spec{Name: "alice", Overlay: tooLong[1:]})
	if got := readFile(t, seen); got != "--overlay\x00"+tooLong[1:] {
		t.Errorf("the overlay arrived as %d bytes: %.30q…", len(got), got)
	}
}

func readFile(t *testing.T, path string) string {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

// A11: arguments and environment that are too large together. The limit is a
// quarter of the stack's, so that is set here.
func a11(t *testing.T) {
	var stack syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_STACK, &stack); err != nil {
		t.Fatal(err)
	}
	usual := syscall.Rlimit{Cur: min(8<<20, stack.Max), Max: stack.Max}
	if err := syscall.Setrlimit(syscall.RLIMIT_STACK, &usual); err != nil {
		t.Fatal(err)
	}
	defer syscall.Setrlimit(syscall.RLIMIT_STACK, &stack)

	var env []string
	for i := range 30 {
		env = append(env, fmt.Sprintf("V%02d=%s", i, strings.Repeat("e", 100<<10)))
	}
	// Each string counts with its end and the pointer to it.
	size := len(env) * (len(env[0]) + 1 + strconv.IntSize/8)
	r := newRefuser(t)
	e := r.refuse(t.Context(), launcher.Spec{Name: "alice", Env: env},
		fmt.Sprintf("bytes of arguments and %d bytes of environment", size), fmt.Sprintf("do not fit into %d bytes", usual.Cur/4))
	podrig.MustBe(t, e, syscall.E2BIG)
	e = r.refuse(t.Context(), launcher.Spec{Name: "alice", Args: env}, "of arguments and", "do not fit into")
	podrig.MustBe(t, e, syscall.E2BIG)
	r.Launch(launcher.Spec{Name: "alice", Env: env[:15]})
}

// A12: a NUL, where the system would end a string, in everything that becomes
// one.
func a12(t *testing.T) {
	r := newRefuser(t)
	for _, c := range []struct {
		spec launcher.Spec
		want string
	}{
		{launcher.Spec{Overlay: "a = 1\x00"}, "Overlay holds a NUL at byte 5"},
		{launcher.Spec{Args: []string{"ok", "a\x00b"}}, "Args[1] holds a NUL at byte 1"},
		{launcher.Spec{Env: []string{"OK=1", "OK=2", "\x00"}}, "Env[2] holds a NUL at byte 0"},
	} {
		c.spec.Name = "alice"
		podrig.MustBe(t, r.refuse(t.Context(), c.spec, c.want), launcher.ErrInvalidSpec, syscall.EINVAL)
	}
	podrig.MustBe(t, r.refuse(t.Context(), launcher.Spec{Name: "alice", Dir: "/a\x00b"}, "working directory", `/a\x00b`), syscall.EINVAL)
	for want, cmd := range map[string]launcher.Command{
		"Command.Path holds a NUL":    {Path: "/bin/tr\x00ue"},
		"Command.Args[0] holds a NUL": {Path: podrig.Pod, Args: []string{"\x00"}},
		"Command.Env[1] holds a NUL":  {Path: podrig.Pod, Env: []string{"A=", "\x00"}},
	} {
		r.L.Command = launcher.CommandResolverFunc(func(context.Context, launcher.Request) (launcher.Command, error) {
			return cmd, nil
		})
		podrig.MustBe(t, r.refuse(t.Context(), launcher.Spec{Name: "alice"}, want), syscall.EINVAL)
	}
}

// mustStop stops a pod before the test goes on.
func mustStop(t *testing.T, pod *launcher.Pod) {
	t.Helper()
	if err := pod.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// A13: a relative command is taken from where the caller stands, not from where
// the pod will.
func a13(t *testing.T) {
	r := newRig(t)
	here, there := filepath.Join(r.Base, "here"), filepath.Join(r.Base, "there")
	for _, dir := range []string{filepath.Join(here, "bin"), there} {
		if err := os.MkdirAll(dir, 0o700); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink(podrig.Pod, filepath.Join(here, "bin", "pod")); err != nil {
		t.Fatal(err)
	}
	t.Chdir(here)
	args := fakepod.Args("alice", r.Dir("alice"), podrig.Serve, nil)
	for _, command := range []launcher.CommandResolver{
		launcher.Exec("bin/pod", args...),
		launcher.Exec("./bin/pod", args...),
		launcher.Exec("../here/bin/pod", args...),
		launcher.PodCommand{Program: "bin/pod", Args: args},
	} {
		r.L.Command = command
		pod := r.Launch(launcher.Spec{Name: "alice", Dir: "../there"})
		if got, err := os.Readlink(fmt.Sprintf("/proc/%d/cwd", pod.PID())); err != nil || got != there {
			t.Errorf("the pod is in %q, %v, want %q", got, err, there)
		}
		mustStop(t, pod)
	}
	r.L.Command = launcher.Exec("./pod")
	t.Chdir(there)
	e := r.Fail(t.Context(), launcher.Spec{Name: "alice", Dir: filepath.Join(here, "bin")})
	podrig.MustBe(t, e, exec.ErrNotFound)
	podrig.MustSay(t, e, "tried "+filepath.Join(there, "pod"))
}

// A14: an entry of PATH that means "where the caller stands" is refused if it
// would have been taken; an absolute one before it is taken.
func a14(t *testing.T) {
	r := newRefuser(t)
	bin := t.TempDir()
	if err := os.Symlink(podrig.Pod, filepath.Join(bin, "pod")); err != nil {
		t.Fatal(err)
	}
	t.Chdir(bin)
	t.Setenv(launcher.DefaultCommandEnv, "")
	r.L.Command = nil
	for path, entry := range map[string]string{
		".:/bin":                           `"."`,
		":/bin":                            `"."`,
		"/nowhere:":                        `"."`,
		"/nowhere::/bin":                   `"."`,
		"../" + filepath.Base(bin):         `"../` + filepath.Base(bin) + `"`,
		"/nowhere:./:" + bin:               `"./"`,
		"no/such/place:.:" + bin + ":/bin": `"."`,
	} {
		t.Setenv("PATH", path)
		e := r.refuse(t.Context(), launcher.Spec{Name: "alice"}, "relative entry "+entry+" of PATH, which is refused")
		podrig.MustBe(t, e, exec.ErrDot)
		if errors.Is(e, exec.ErrNotFound) || e.Stage != launcher.StageResolve {
			t.Errorf("PATH=%s: %+v", path, e)
		}
	}
	t.Setenv("PATH", bin+":.")
	r.L.Command = launcher.PodCommand{Args: fakepod.Args("alice", r.Dir("alice"), podrig.Serve, nil)}
	r.Launch(launcher.Spec{Name: "alice"})
}

// A15: a working directory that is missing, is a file, or may not be entered.
func a15(t *testing.T) {
	r := newRefuser(t)
	outside := t.TempDir()
	file := filepath.Join(outside, "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for dir, want := range map[string]error{
		filepath.Join(outside, "missing"): fs.ErrNotExist,
		file:                              syscall.ENOTDIR,
		filepath.Join(file, "below"):      syscall.ENOTDIR,
	} {
		e := r.refuse(t.Context(), launcher.Spec{Name: "alice", Dir: dir}, "working directory: ", dir)
		podrig.MustBe(t, e, want)
		if e.Stage != launcher.StageStart {
			t.Errorf("stage %q", e.Stage)
		}
	}
	closed := filepath.Join(r.parent, "closed")
	if err := os.Mkdir(closed, 0o600); err != nil {
		t.Fatal(err)
	}
	if os.Geteuid() != 0 {
		e := r.refuse(t.Context(), launcher.Spec{Name: "alice", Dir: closed}, "working directory: chdir "+closed)
		podrig.MustBe(t, e, fs.ErrPermission)
		return
	}
	// Root may enter any directory, so somebody else has to try.
	if err := os.Chmod(r.parent, 0o777); err != nil {
		t.Fatal(err)
	}
	before := listing(t, r.parent)
	c := exec.Command("/proc/self/exe", launchInRole, closed, r.Base)
	c.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
	out, err := c.CombinedOutput()
	want := "EACCES launch alice: working directory: chdir " + closed + ": permission denied (stage start,"
	if err != nil || !strings.HasPrefix(string(out), want) {
		t.Errorf("a launch by an ordinary user gave %v and\n%s\nwant\n%s", err, out, want)
	}
	if diff := difference(before, listing(t, r.parent)); diff != "" {
		t.Errorf("something was created (-before +after):\n%s", diff)
	}
}

// launchInRole makes the test binary launch a pod in the working directory
// os.Args[2], with the base os.Args[3], and print the error.
const launchInRole = "role-launch-in"

func init() {
	if len(os.Args) != 4 || os.Args[1] != launchInRole {
		return
	}
	l := launcher.Launcher{Command: launcher.Exec("/proc/self/exe"), Dir: runtimedir.Dir(os.Args[3])}
	_, err := l.Launch(context.Background(), launcher.Spec{Name: "alice", Dir: os.Args[2]})
	if errors.Is(err, syscall.EACCES) {
		fmt.Print("EACCES ")
	}
	fmt.Println(err)
	os.Exit(0)
}

// A16: a context that is done already: nothing is created, and the reason is
// the context's.
func a16(t *testing.T) {
	r := newRefuser(t)
	cancelled, cancel := context.WithCancel(t.Context())
	cancel()
	shutdown := errors.New("the host shuts down")
	caused, cancelCause := context.WithCancelCause(t.Context())
	cancelCause(shutdown)
	past, cancel := context.WithDeadline(t.Context(), time.Now().Add(-time.Hour))
	defer cancel()
	tooLate := errors.New("the meeting is over")
	pastCause, cancel := context.WithDeadlineCause(t.Context(), time.Now().Add(-time.Hour), tooLate)
	defer cancel()
	for _, c := range []struct {
		ctx  context.Context
		is   []error
		says string
	}{
		{cancelled, []error{context.Canceled}, "cancelled: context canceled"},
		{caused, []error{context.Canceled, shutdown}, "cancelled: context canceled: the host shuts down"},
		{past, []error{context.DeadlineExceeded, launcher.ErrTimeout}, "before the caller's deadline"},
		{pastCause, []error{context.DeadlineExceeded, launcher.ErrTimeout, tooLate}, "before the caller's deadline: the meeting is over"},
	} {
		podrig.MustBe(t, r.refuse(c.ctx, launcher.Spec{Name: "alice"}, c.says), c.is...)
	}
	// Invalid input is the better reason.
	podrig.MustBe(t, r.refuse(cancelled, launcher.Spec{Name: "a/b"}), runtimedir.ErrInvalidName)
	// The launch's own time counts as well. A nanosecond is always over.
	r.L.Timeout = 1
	podrig.MustBe(t, r.refuse(t.Context(), launcher.Spec{Name: "alice"}, "within 1ns"), context.DeadlineExceeded, launcher.ErrTimeout)
}

// readyLine is what the pod called name writes when it is ready.
func (r *rig) readyLine(name string) string {
	return "INSOMNIA-READY\t" + name + "\t" + filepath.Join(r.Dir(name), "sock") + "\n"
}

// launchCut launches a pod that writes text up to byte at, and the rest only
// once the whole launcher has read that much. It returns the lines of progress.
func (r *rig) launchCut(name, text string, at int) (*launcher.Pod, []string) {
	r.T.Helper()
	gate := r.Fifo(fmt.Sprintf("gate-%s-%d", name, at))
	log := newMeteredLog(int64(at))
	r.L.Log = log
	r.L.Command = podrig.Script("listen", "write "+strconv.Quote(text[:at]), "await "+gate, "write "+strconv.Quote(text[at:]), "hang")
	opened := make(chan struct{})
	go func() {
		defer close(opened)
		for range 3 { // the probe, the tail, the progress
			<-log.reached
		}
		podrig.Wake(r.T, gate)
	}()
	var lines []string
	pod := r.Launch(launcher.Spec{Name: name, Progress: func(line string) { lines = append(lines, line) }})
	<-opened
	return pod, lines
}

// A19: the ready line, cut at each of its positions, with the rest to come.
func a19(t *testing.T) {
	r := newRig(t)
	line := r.readyLine("alice")
	for at := 1; at < len(line); at += podrig.Size(t, 7, 1, 1) {
		pod, progress := r.launchCut("alice", line, at)
		if got, want := pod.Endpoint().Address, filepath.Join(r.Dir("alice"), "sock"); got != want || progress != nil {
			t.Errorf("cut at %d: the endpoint is %q, want %q, and progress got %q", at, got, want, progress)
		}
		mustStop(t, pod)
	}
}

// A20: cut inside the name and inside the socket, where the half would be a
// name and a socket as well. The lines around it stay whole.
func a20(t *testing.T) {
	r := newRig(t)
	before, after := "getting up\n", "going on\n"
	text := before + r.readyLine("alice") + after
	for _, half := range []string{"\tal", "\talice\t/", "/so"} {
		pod, progress := r.launchCut("alice", text, strings.Index(text, half)+len(half))
		podrig.Ping(t, pod)
		if got, want := pod.Endpoint().Address, filepath.Join(r.Dir("alice"), "sock"); got != want || progress[0] != "getting up" {
			t.Errorf("cut after %q: the endpoint is %q, want %q, and progress got %q", half, got, want, progress)
		}
		mustStop(t, pod)
	}
}

// progressOf launches a pod that has to become ready and to answer, stops it,
// and returns what progress got.
func (r *rig) progressOf(name string) (lines []string) {
	r.T.Helper()
	pod := r.Launch(launcher.Spec{Name: name, Progress: func(line string) { lines = append(lines, line) }})
	podrig.Ping(r.T, pod)
	mustStop(r.T, pod)
	return lines
}

// A21: every byte in a write of its own.
func a21(t *testing.T) {
	r := newRig(t)
	r.L.Command = podrig.Script("listen", "bytes "+strconv.Quote("one\n\ntwo\n"+r.readyLine("alice")), "hang")
	lines := r.progressOf("alice")
	if diff := difference([]string{"one", "", "two"}, lines); diff != "" {
		t.Errorf("progress (-want +got):\n%s", diff)
	}
}

// A22: CR LF ends a line as LF does, but only one CR belongs to it.
func a22(t *testing.T) {
	r := newRig(t)
	line := strings.TrimSuffix(r.readyLine("alice"), "\n")
	r.L.Command = podrig.Script("listen", "write "+strconv.Quote("one\r\ntwo\r\r\n\r\n"+line+"\r\n"), "hang")
	lines := r.progressOf("alice")
	if diff := difference([]string{"one", "two\r", ""}, lines); diff != "" {
		t.Errorf("progress (-want +got):\n%s", diff)
	}
}

// A23: bytes that are no text, around the ready line, are passed on as they
// are, and made fit for a message.
func a23(t *testing.T) {
	const raw = "\xff\xfe caf\xe9 \xc3"
	r := newRig(t)
	r.L.Command = podrig.Script("listen", "write "+strconv.Quote(raw+"\n"+r.readyLine("alice")+raw+"\n"), "hang")
	lines := r.progressOf("alice")
	if len(lines) == 0 || lines[0] != raw {
		t.Errorf("progress got %q, want %q first", lines, raw)
	}
	r.L.Command = podrig.Script("write "+strconv.Quote(raw+"\n"), "exit 1")
	e := r.Fail(t.Context(), launcher.Spec{Name: "bob"})
	podrig.MustSay(t, e, `becoming ready: \xff\xfe caf\xe9 \xc3 (exit status 1`)
	if !slices.Equal(e.Tail, []string{raw}) {
		t.Errorf("the tail is %q", e.Tail)
	}
}

// A24: a character split by two writes.
func a24(t *testing.T) {
	r := newRig(t)
	text := "grüße\n" + r.readyLine("größe")
	for _, half := range []string{"gr\xc3", "\tgr\xc3"} {
		pod, lines := r.launchCut("größe", text, strings.Index(text, half)+len(half))
		podrig.Ping(t, pod)
		if !slices.Equal(lines, []string{"grüße"}) {
			t.Errorf("progress got %q", lines)
		}
		mustStop(t, pod)
	}
}

// A25: a NUL in the log is noise that is kept; a ready line with one is none,
// the true one still counts, and if that never comes the error tells.
func a25(t *testing.T) {
	r := newRig(t)
	const noise, forged = "a\x00b", "INSOMNIA-READY\talice\t/tmp/s\x00ck"
	lines := noise + "\n" + forged + "\n"
	r.L.Command = podrig.Script("listen", "write "+strconv.Quote(lines), "ready", "hang")
	progress := r.progressOf("alice")
	if !slices.Equal(progress, []string{noise, forged}) {
		t.Errorf("progress got %q", progress)
	}
	if got := r.ReadLog("alice"); !strings.HasPrefix(got, lines) {
		t.Errorf("the log holds %q", got)
	}
	e := r.failAfter(lines, launcher.Spec{Name: "bob"})
	podrig.MustBe(t, e, launcher.ErrTimeout)
	podrig.MustSay(t, e, "a line that holds a NUL was not taken for a ready line", `s\x00ck"`)
}

// failAfter launches a pod that writes lines and nothing else, and lets the
// deadline pass once they were read.
func (r *rig) failAfter(lines string, spec launcher.Spec) *launcher.Error {
	r.T.Helper()
	log := newMeteredLog(int64(len(lines)))
	r.L.Log = log
	r.L.Command = podrig.Script("write "+strconv.Quote(lines), "hang")
	e := r.Fail(eventDeadline{context.Background(), log.first}, spec)
	r.L.Log = nil
	return e
}

// A28: another pod's ready line is an error at once, with both names; Lenient
// makes it noise, which a timeout tells of.
func a28(t *testing.T) {
	const other = "INSOMNIA-READY\tbob\t/tmp/bob/sock"
	r := newRig(t, "listen", "say "+other, "ready", "hang")
	e := r.Fail(t.Context(), launcher.Spec{Name: "alice"})
	podrig.MustBe(t, e, readiness.ErrNameMismatch)
	podrig.MustSay(t, e, `the line names "bob", this is "alice"`)
	if !slices.Contains(e.Tail, other) || e.Exit != nil {
		t.Errorf("%+v", e)
	}
	r.L.Ready = readiness.Sequence{readiness.ReadyLine{Lenient: true}, readiness.Socket{}}
	lines := r.progressOf("alice")
	if !slices.Equal(lines, []string{other}) {
		t.Errorf("progress got %q", lines)
	}
	e = r.failAfter(other+"\n", launcher.Spec{Name: "carol"})
	podrig.MustBe(t, e, launcher.ErrTimeout)
	podrig.MustSay(t, e, "still waiting for the ready line", `names "bob", this is "carol"`)
}

// A29: a forged ready line comes first. If it leads to a stranger's socket, the launch
// refuses it and says whose socket it is. If it has another name, a Lenient probe passes
// over it. The launch does not dial the pod's true socket any more.
func a29(t *testing.T) {
	r := newRig(t)
	squat := filepath.Join(r.Base, "squat")
	squatter := listen(t, squat)
	r.L.Command = podrig.Script("listen", "say INSOMNIA-READY\talice\t"+squat, "ready", "hang")
	e := r.Fail(t.Context(), launcher.Spec{Name: "alice"})
	podrig.MustBe(t, e, readiness.ErrForeignPeer)
	podrig.MustSay(t, e, "unix:"+squat, "pid "+strconv.Itoa(os.Getpid()), "readiness.SameUser")
	squatter.Close()

	r.L.Ready = readiness.Sequence{readiness.ReadyLine{Lenient: true}, readiness.Socket{}}
	r.L.Command = podrig.Script("listen", "say INSOMNIA-READY\tmallory\t"+squat, "ready", "hang")
	podrig.Ping(t, r.Launch(launcher.Spec{Name: "alice"}))
}

// A30: a line that begins like a ready line and lacks a field is an error at
// once that quotes it; Lenient makes it noise, which a timeout tells of. What
// does not begin like one is noise always.
func a30(t *testing.T) {
	r := newRig(t)
	malformed := []string{
		"INSOMNIA-READY",
		"INSOMNIA-READY\t",
		"INSOMNIA-READY\talice",
		"INSOMNIA-READY\talice\t",
		"INSOMNIA-READY\t\t/tmp/sock",
		"INSOMNIA-READY\t\t",
	}
	for _, line := range malformed {
		r.L.Command = podrig.Script("listen", "write "+strconv.Quote(line+"\n"), "ready", "hang")
		e := r.Fail(t.Context(), launcher.Spec{Name: "alice"})
		podrig.MustBe(t, e, readiness.ErrMalformedReadyLine)
		podrig.MustSay(t, e, strconv.Quote(line)+" has ")
	}
	noise := []string{
		"insomnia-ready\talice\t/tmp/sock",
		" INSOMNIA-READY\talice\t/tmp/sock",
		"INSOMNIA-READY alice /tmp/sock",
		"INSOMNIA-READYING\talice\t/tmp/sock",
		"YOI-READY\talice\t/tmp/sock",
	}
	r.L.Command = podrig.Script("listen", "write "+strconv.Quote(strings.Join(noise, "\n")+"\n"), "ready", "hang")
	if lines := r.progressOf("alice"); !slices.Equal(lines, noise) {
		t.Errorf("progress got %q, want %q", lines, noise)
	}
	r.L.Ready = readiness.Sequence{readiness.ReadyLine{Lenient: true}, readiness.Socket{}}
	text := strings.Join(malformed, "\n") + "\n"
	r.L.Command = podrig.Script("listen", "write "+strconv.Quote(text), "ready", "hang")
	if lines := r.progressOf("bob"); !slices.Equal(lines, malformed) {
		t.Errorf("progress got %q, want %q", lines, malformed)
	}
	e := r.failAfter(text, launcher.Spec{Name: "carol"})
	podrig.MustBe(t, e, launcher.ErrTimeout)
	podrig.MustSay(t, e, `malformed ready line: "INSOMNIA-READY" has 1 of 3 fields`, "and 3 more such lines")
}

// A31: the same ready line again is nothing; another one after it does not
// move the pod, and is evidence if the launch fails after all.
func a31(t *testing.T) {
	r := newRig(t)
	line := r.readyLine("alice")
	const other = "INSOMNIA-READY\talice\t/tmp/elsewhere"
	r.L.Command = podrig.Script("listen", "write "+strconv.Quote(line+line+other+"\n"+line), "hang")
	lines := r.progressOf("alice")
	if len(lines) > 1 || len(lines) == 1 && lines[0] != other {
		t.Errorf("progress got %q", lines)
	}
	r.L.Command = podrig.Script("write "+strconv.Quote(line+line+other+"\n"), "exit 1")
	e := r.Fail(t.Context(), launcher.Spec{Name: "alice"})
	podrig.MustBe(t, e, launcher.ErrExitedEarly)
	if !slices.Equal(e.Tail, []string{other}) {
		t.Errorf("the tail is %q", e.Tail)
	}
}

// A32: a relative socket is taken from the pod's working directory, not from
// the caller's and not from the runtime directory.
func a32(t *testing.T) {
	r := newRig(t, "listen rel.sock", "ready rel.sock", "hang")
	work := filepath.Join(r.Base, "work")
	if err := os.Mkdir(work, 0o700); err != nil {
		t.Fatal(err)
	}
	pod := r.Launch(launcher.Spec{Name: "alice", Dir: work})
	if got := pod.Endpoint().Address; got != filepath.Join(work, "rel.sock") {
		t.Errorf("the endpoint is %q", got)
	}
	podrig.Ping(t, pod)
}

// A33: a socket may be outside the runtime directory; who serves it decides. It
// may not be in the abstract namespace, where anybody can take it.
func a33(t *testing.T) {
	r := newRig(t)
	outside := filepath.Join(r.Base, "outside.sock")
	r.L.Command = podrig.Script("listen "+outside, "ready "+outside, "hang")
	pod := r.Launch(launcher.Spec{Name: "alice"})
	if pod.Endpoint() != (readiness.Endpoint{Network: "unix", Address: outside}) {
		t.Errorf("the endpoint is %v", pod.Endpoint())
	}
	podrig.Ping(t, pod)
	mustStop(t, pod)
	r.L.Command = podrig.Script("write "+strconv.Quote("INSOMNIA-READY\t{name}\t@abstract\n"), "hang")
	e := r.Fail(t.Context(), launcher.Spec{Name: "bob"})
	podrig.MustBe(t, e, readiness.ErrMalformedReadyLine)
	podrig.MustSay(t, e, "abstract socket", "a path is needed")
}

// A34: a ready line without its newline, and then the end: the pod is not ready, and the
// error shows the line.
func a34(t *testing.T) {
	r := newRig(t)
	line := strings.TrimSuffix(r.readyLine("alice"), "\n")
	r.L.Command = podrig.Script("listen", "say one", "write "+strconv.Quote(line), "exit 0")
	e := r.Fail(t.Context(), launcher.Spec{Name: "alice"})
	podrig.MustBe(t, e, launcher.ErrExitedEarly)
	if !slices.Equal(e.Tail, []string{"one", line}) || e.Exit == nil || e.Exit.Code != 0 {
		t.Errorf("%+v", e)
	}
	podrig.MustSay(t, e, `one | INSOMNIA-READY\talice\t`, "exit status 0")
}

// A35: the output of several processes never mixes within a line. Those of one
// launch append to one file, each write in one piece; those of two launches
// have a file each.
func a35(t *testing.T) {
	r := newRig(t)
	const n = 500
	here, there := strings.Repeat("a", 200), strings.Repeat("b", 300)
	done := r.Fifo("done")
	r.L.Command = podrig.Script("listen", fmt.Sprintf("spawn repeat %d %s ; notify %s", n, here, done),
		fmt.Sprintf("repeat %d %s", n, there), "await "+done, "ready", "hang")
	lines := r.progressOf("alice")
	count := map[string]int{}
	for _, line := range lines {
		count[line]++
	}
	if diff := difference(map[string]int{here: n, there: n}, count); diff != "" {
		t.Errorf("lines (-want +got):\n%s", diff)
	}

	keeper := &keepingLog{t: t}
	r.L.Log, r.L.Command = keeper, podrig.Script(podrig.Serve...)
	first := r.Launch(launcher.Spec{Name: "bob"})
	mustStop(t, first)
	r.L.Log = nil
	r.Launch(launcher.Spec{Name: "bob"})
	if _, err := keeper.sink.WriteString("a late word\n"); err != nil {
		t.Fatal(err)
	}
	if got := r.ReadLog("bob"); got != r.readyLine("bob") {
		t.Errorf("the second log holds %q", got)
	}
	if got := readFile(t, first.LogPath()+".1"); got != r.readyLine("bob")+"a late word\n" {
		t.Errorf("the first log holds %q", got)
	}
}

// A36: what the pod writes cannot steer the terminal that shows the error, nor
// push what matters out of the message.
func a36(t *testing.T) {
	const nasty = "\x1b[2J\x1b]0;owned\x07 \b\b\r red\x9b31m \u202egnp.exe \u2028 \u0085 \x7f"
	r := newRig(t, "write "+strconv.Quote(nasty+"\n"), "exit 1")
	e := r.Fail(t.Context(), launcher.Spec{Name: "alice"})
	podrig.MustSay(t, e, `\x1b[2J\x1b]0;owned\a \b\b\r red\x9b31m \u202egnp.exe \u2028 \u0085 \x7f`)
	if !slices.Equal(e.Tail, []string{nasty}) {
		t.Errorf("the tail is %q", e.Tail)
	}
	// The last line is what matters most, however long those before it are.
	steps := []string{}
	for range 7 {
		steps = append(steps, "write "+strconv.Quote(strings.Repeat("\x1b[31m", 2000)+"\n"))
	}
	r.L.Command = podrig.Script(append(steps, "say fatal: no such table", "exit 1")...)
	e = r.Fail(t.Context(), launcher.Spec{Name: "alice"})
	podrig.MustSay(t, e, "… (10000 bytes) | ", " | fatal: no such table (exit status 1", "log "+e.LogPath)
	if most := 16 << 10; len(e.Error()) > most {
		t.Errorf("the message has %d bytes, want at most %d", len(e.Error()), most)
	}
}
