//go:build linux

package launcher_test

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/podlaunch/podlaunch/launcher"
	"github.com/podlaunch/podlaunch/launcher/internal/leaktest"
	"github.com/podlaunch/podlaunch/launcher/internal/podrig"
	"github.com/podlaunch/podlaunch/logsource"
	"github.com/podlaunch/podlaunch/readiness"
	"github.com/podlaunch/podlaunch/runtimedir"
)

var updateMessages = flag.Bool("update-messages", false, "write testdata/messages.txt")

// told are calls that fail, each in another way.
var told = []struct {
	name string
	call func(r *rig) error
}{
	{"no name", launches(launcher.Spec{})},
	{"a name that is none", launches(launcher.Spec{Name: "a/b"})},
	{"an argument that cannot be", launches(launcher.Spec{Name: "alice", Args: []string{"a\x00b"}})},
	{"two standard inputs", launches(launcher.Spec{Name: "alice", Stdin: os.Stdin, StdinOpen: true})},
	{"no working directory", launches(launcher.Spec{Name: "alice", Dir: "/nowhere"})},
	{"no program", runs(launcher.Path("/nowhere"))},
	{"no interpreter", func(r *rig) error {
		return runs(launcher.Exec(r.file("script", "#!/nowhere/sh\n", 0o700)))(r)
	}},
	{"no directory", func(r *rig) error {
		r.L.Dir = runtimedir.Dir("relative")
		return launches(launcher.Spec{Name: "alice"})(r)
	}},
	{"no log", func(r *rig) error {
		r.L.Log = logsource.File{Name: "no/such"}
		return launches(launcher.Spec{Name: "alice"})(r)
	}},
	{"exits", does("echo one >&2; echo two >&2; exit 3")},
	{"exits with a cause far above", does("echo 'fatal: the database is locked' >&2; " + twelveLines + "exit 3")},
	{"exits and has much to say", does(twelveLines + "exit 3")},
	{"exits and shows its usage", does("echo no such thing as --nope here >&2; echo Usage: pod >&2; " + twelveLines + "exit 3")},
	{"exits without a word", does("exit 3")},
	{"exits well", does("exit 0")},
	{"exits as a shell does after a signal", does("sh -c 'kill -9 $$'; exit $?")},
	{"is killed", does("echo one >&2; kill -9 $$")},
	{"the probe hangs up on it", func(r *rig) error {
		r.L.Ready = readiness.Sequence{readiness.ReadyLine{}, readiness.Socket{}}
		return runs(readyShell("kill -PIPE $$"))(r)
	}},
	{"nearly the ready line", does(`printf "[0] $r" >&2; exit 1`)},
	{"a malformed ready line", does(`printf 'INSOMNIA-READY\talice\n' >&2; exec sleep 1000`)},
	{"another's ready line", does(`printf 'INSOMNIA-READY\tbob\t/s\n' >&2; exec sleep 1000`)},
	{"says that it has failed", does(`printf 'INSOMNIA-FAIL\talice\tthe disk is full\n' >&2; exec sleep 1000`)},
	{"the time is over", waits("echo one >&2", readiness.ReadyLine{})},
	{"the time is over, without a word", waits(`printf "$r"`, readiness.ReadyLine{})},
	{"the time is over, with a cause far above", waits("echo 'error: no route to the database' >&2; "+twelveLines+":", readiness.ReadyLine{})},
	{"the time is over, nobody listens", waits("echo one >&2", readiness.Unix{})},
	{"names a stranger in its pid file", func(r *rig) error {
		r.L.Ready = readiness.PIDFile{Path: "pid"}
		return runs(readyShell(fmt.Sprintf(`echo %d >"$POD_RUNTIME_DIR/pid"; exec sleep 1000`, os.Getpid())))(r)
	}},
	{"serves from the background", func(r *rig) error {
		const script = `setsid sh -c 'setsid sh -c "while kill -0 $$ 2>/dev/null; do :; done; exec \"\$0\" \"\$@\"" "$0" "$@" & exit 0' "$0" "$@" & wait; exec sleep 1000`
		pod := podrig.Script("listen", "hang")
		r.L.Ready = readiness.Unix{}
		return runs(launcher.CommandResolverFunc(func(ctx context.Context, req launcher.Request) (launcher.Command, error) {
			cmd, err := pod.ResolveCommand(ctx, req)
			cmd.Path, cmd.Args = "/bin/sh", append([]string{"-c", script, cmd.Path}, cmd.Args...)
			return cmd, err
		}))(r)
	}},
	{"the time is over, in the background", func(r *rig) error {
		r.L.Ready, r.L.Timeout = readiness.PIDFile{Path: "pid"}, time.Second
		return runs(readyShell("setsid sleep 1000 & exit 0"))(r)
	}},
	{"the caller cancels", func(r *rig) error {
		ctx, cancel := context.WithCancelCause(r.T.Context())
		cancel(errors.New("the host shuts down"))
		_, err := r.L.Launch(ctx, launcher.Spec{Name: "alice"})
		return err
	}},
	{"it runs already", func(r *rig) error {
		r.Launch(launcher.Spec{Name: "alice"})
		return launches(launcher.Spec{Name: "alice"})(r)
	}},
	{"attach to nobody", func(r *rig) error {
		_, err := r.L.Attach(r.T.Context(), "nobody")
		return err
	}},
	{"attach to a name that is none", func(r *rig) error {
		_, err := r.L.Attach(r.T.Context(), "a/b")
		return err
	}},
	{"dial of a pod without an endpoint", func(r *rig) error {
		r.L.Ready = readiness.ProbeFunc(func(context.Context, readiness.Target) (readiness.Endpoint, error) {
			return readiness.Endpoint{}, nil
		})
		_, err := r.Launch(launcher.Spec{Name: "alice"}).Dial(r.T.Context())
		return err
	}},
	{"dial of a pod with an address that cannot be printed", func(r *rig) error {
		r.L.Ready = readiness.ProbeFunc(func(context.Context, readiness.Target) (readiness.Endpoint, error) {
			return readiness.Endpoint{Network: "unix", Address: "/s\x1b[2J\r\u202e"}, nil
		})
		_, err := r.Launch(launcher.Spec{Name: "alice"}).Dial(r.T.Context())
		return err
	}},
	{"verify of such a pod", func(r *rig) error {
		r.L.Ready = readiness.Sequence{readiness.ProbeFunc(func(context.Context, readiness.Target) (readiness.Endpoint, error) {
			return readiness.Endpoint{Network: "unix", Address: "/s\x1b[2J\r\u202e"}, nil
		}), seldom{}}
		return r.Launch(launcher.Spec{Name: "alice"}).Verify(r.T.Context())
	}},
}

// A seldom is content once, and then dials.
type seldom struct{}

func (seldom) Wait(_ context.Context, t readiness.Target) (readiness.Endpoint, error) {
	return t.Endpoint, nil
}

func (seldom) Verify(ctx context.Context, t readiness.Target) error {
	return readiness.Verify(ctx, readiness.Socket{}, t)
}

const twelveLines = "for i in 1 2 3 4 5 6 7 8 9 10 11 12; do echo line $i >&2; done; "

func launches(spec launcher.Spec) func(*rig) error {
	return func(r *rig) error {
		_, err := r.L.Launch(r.T.Context(), spec)
		return err
	}
}

func runs(command launcher.CommandResolver) func(*rig) error {
	return func(r *rig) error {
		r.L.Command = command
		return launches(launcher.Spec{Name: "alice"})(r)
	}
}

// does launches a shell that does script, and waits for its ready line.
func does(script string) func(*rig) error {
	return func(r *rig) error {
		r.L.Ready = readiness.ReadyLine{}
		return runs(readyShell(script))(r)
	}
}

// waits launches a shell that does script and hangs.
func waits(script string, probe readiness.Probe) func(*rig) error {
	return func(r *rig) error {
		r.L.Ready = probe
		return r.hang(script, launcher.Spec{})
	}
}

// Every kind of message, as a person reads it, is in testdata/messages.txt. Each says
// nothing twice, and is one line that fits.
func TestMessagesAreGolden(t *testing.T) {
	leaktest.Parallel(t)
	var got strings.Builder
	for _, c := range told {
		t.Run(c.name, func(t *testing.T) {
			r := newRig(t, podrig.Serve...)
			err := c.call(r)
			if err == nil {
				t.Fatal("it did not fail")
			}
			if len(err.Error()) > 12*160 || strings.ContainsAny(err.Error(), "\n\r\x1b") {
				t.Errorf("the message does not fit: %q", err)
			}
			mustSayOnce(t, err)
			fmt.Fprintf(&got, "%s:\n    %s\n\n", c.name, settled(r, err.Error()))
		})
	}
	const path = "testdata/messages.txt"
	if *updateMessages {
		if err := os.WriteFile(path, []byte(got.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := difference(string(want), got.String()); diff != "" {
		t.Errorf("the messages are not those of %s (-update-messages writes it; -want +got):\n%s", path, diff)
	}
}

// mustSayOnce fails the test if err says the same twice: a part of its message, a pid.
func mustSayOnce(t *testing.T, err error) {
	t.Helper()
	seen := make(map[string]bool)
	for _, part := range regexp.MustCompile(`; |: | \(|\)|, | \| `).Split(err.Error(), -1) {
		if len(part) > 4 && seen[part] {
			t.Errorf("it says %q twice: %v", part, err)
		}
		seen[part] = true
	}
	var e *launcher.Error
	if !errors.As(err, &e) {
		return
	}
	if e.PID != 0 && len(regexp.MustCompile(fmt.Sprintf(`\b%d\b`, e.PID)).FindAllString(err.Error(), -1)) != 1 {
		t.Errorf("it does not say its pid once: %v", err)
	}
	if e.LogPath != "" && strings.Count(err.Error(), e.LogPath) != 1 {
		t.Errorf("it does not say once where the log is: %v", err)
	}
}

// settled returns a message without what is another each time.
func settled(r *rig, message string) string {
	message = strings.ReplaceAll(message, filepath.Dir(r.Dir("alice")), "DIR")
	for _, rule := range [][2]string{
		{`\bpid \d+( \(".*?"\))? of user \d+`, "pid N (\"NAME\") of user N"},
		{`\bpid \d+`, "pid N"},
		{`processes \[[0-9 ]+\]`, "processes [N]"},
		{`after [0-9.]+(µs|ms|s)`, "after T"},
		{`attempts: \d+`, "attempts: N"},
		{`\bnumber \d+ of a process`, "number N of a process"},
	} {
		message = regexp.MustCompile(rule[0]).ReplaceAllString(message, rule[1])
	}
	return message
}

// A message is made of parts of any size, and fits; the most important parts are whole.
func TestMessageFits(t *testing.T) {
	long := strings.Repeat("a long word ", 1<<12)
	for _, e := range []*launcher.Error{
		{Name: long, Err: errors.New(long), Tail: []string{long, long}, Head: []string{long}, Cause: long, Notes: []string{long, long}, Leftover: errors.New(long), LogPath: long, Pending: long, Dropped: math.MaxInt, PID: 1 << 22},
		{Name: "alice", Err: launcher.ErrExitedEarly, Cause: "the cause", Pending: long, Notes: []string{long, "note", long, long, long}, Elapsed: time.Second},
		{Name: "alice", Err: launcher.ErrTimeout, Tail: strings.Split(long, " "), Cause: "the cause"},
		{Name: strings.Repeat("\x00", 1<<10), Err: launcher.ErrTimeout, Tail: []string{strings.Repeat("\x00", 1<<10)}},
	} {
		got := e.Error()
		if len(got) > 12*160 {
			t.Errorf("the message has %d bytes: %s", len(got), got)
		}
		if e.Cause == "the cause" && (strings.Count(got, "the cause") != 1 || !strings.Contains(got, e.Err.Error())) {
			t.Errorf("the message lacks its cause or its reason: %s", got)
		}
	}
}
