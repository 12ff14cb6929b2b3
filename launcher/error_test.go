//go:build linux

package launcher_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
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

// An event is what happens one second into a launch.
type event func(*fake, context.CancelCauseFunc)

func exits(e launcher.Exit) event {
	return func(f *fake, _ context.CancelCauseFunc) { f.proc.end(e) }
}

func cancels(cause error) event {
	return func(_ *fake, cancel context.CancelCauseFunc) { cancel(cause) }
}

func writes(text string) event {
	return func(f *fake, _ context.CancelCauseFunc) { f.log.write(text) }
}

var (
	errShutdown = errors.New("the host shuts down")
	errForeign  = fmt.Errorf("%w: pid 1 answers", readiness.ErrForeignPeer)
)

// foreign has its verdict once it is over.
var foreign = readiness.ProbeFunc(func(ctx context.Context, _ readiness.Target) (readiness.Endpoint, error) {
	<-ctx.Done()
	return readiness.Endpoint{}, errForeign
})

// A message is a launch that fails, and what a person reads then.
type message struct {
	name  string
	log   string          // what the pod writes at first
	ready readiness.Probe // nil: the ready line
	event event           // nil: the time is over
	want  string
	is    error
}

const waiting = `; still waiting for the ready line "INSOMNIA-READY"`

var failures = []message{
	{"exit", "one\ntwo\nthree", nil, exits(launcher.Exit{Code: 3, Known: true}),
		"pod exited before becoming ready: one | two | three (exit status 3, ", launcher.ErrExitedEarly},
	{"exit without a word", "", nil, exits(launcher.Exit{Known: true}),
		"pod exited before becoming ready, without a word; it may have gone to the background: a pod has to stay in the foreground, for which most daemons have an option; its standard output is the null device, and what it wrote there is lost (Spec.LogStdout); its stdin is the null device, and some programs exit when their stdin ends (Spec.Stdin, Spec.StdinOpen) (exit status 0, ", launcher.ErrExitedEarly},
	{"signal", "one\n", nil, exits(launcher.Exit{Signal: syscall.SIGSEGV, CoreDumped: true, Known: true}),
		"pod exited before becoming ready: one (signal: segmentation fault (core dumped), ", launcher.ErrExitedEarly},
	{"unknown", "one\n", nil, exits(launcher.Exit{}),
		"pod exited before becoming ready: one (exit status unknown, ", launcher.ErrExitedEarly},
	{"timeout", "one\n", nil, nil,
		"pod did not become ready within 1s" + waiting + "; its last lines: one (", launcher.ErrTimeout},
	{"timeout without a word", "", nil, nil,
		"pod did not become ready within 1s" + waiting + "; it has written nothing to its log; its standard output is the null device, and a ready line there reaches nobody (Spec.LogStdout) (", context.DeadlineExceeded},
	{"cancelled", "one\n", nil, cancels(nil),
		"cancelled: context canceled" + waiting + "; its last lines: one (", context.Canceled},
	{"cancelled with a cause", "one\n", nil, cancels(errShutdown),
		"cancelled: context canceled: the host shuts down" + waiting + "; its last lines: one (", errShutdown},
	{"malformed", "one\n", nil, writes("INSOMNIA-READY\talice\n"),
		`malformed ready line: "INSOMNIA-READY\talice" has 2 of 3 fields (INSOMNIA-READY, name, socket, separated by tabs); ` +
			`its last lines: one | INSOMNIA-READY\talice (`, readiness.ErrMalformedReadyLine},
	{"mismatch", "", nil, writes("INSOMNIA-READY\tbob\t/s\n"),
		`ready line of another pod: the line names "bob", this is "alice"; its last lines: INSOMNIA-READY\tbob\t/s (`, readiness.ErrNameMismatch},
	{"verdict with the exit", "one\n", foreign, exits(launcher.Exit{Code: 3, Known: true}),
		"socket is served by a stranger: pid 1 answers; its last lines: one (exit status 3, ", readiness.ErrForeignPeer},
	{"verdict with the end of the time", "one\n", foreign, nil,
		"pod did not become ready within 1s; socket is served by a stranger: pid 1 answers; its last lines: one (", readiness.ErrForeignPeer},
}

// Rows 16, 17, 20: what a person reads, to the letter.
func TestMessages(t *testing.T) {
	leaktest.Parallel(t)
	for _, c := range failures {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, c.check)
		})
	}
}

// elapsed is how long a launch has taken that ended after a second. The launcher looks for
// processes of the pod, and waits up to 400 ms for those of this machine that are just
// executing a program.
var elapsed = regexp.MustCompile(`after 1(\.[0-3]\d*|\.4)?s`)

// check fails a launch. It runs in a bubble, so the elapsed time is nearly exact.
func (c message) check(t *testing.T) {
	f := newFake(t)
	f.l.Starter, f.l.Log, f.l.Ready = withPID{f.proc}, placed{f.log}, readiness.ReadyLine{}
	if c.ready != nil {
		f.l.Ready = c.ready
	}
	ctx, cancel := context.WithCancelCause(t.Context())
	defer cancel(nil)
	f.log.write(c.log)
	if c.event == nil {
		f.l.Timeout = time.Second
	} else {
		time.AfterFunc(time.Second, func() { c.event(f, cancel) })
	}
	pod, err := f.l.Launch(ctx, launcher.Spec{Name: "alice"})
	if pod != nil || err == nil {
		t.Fatalf("Launch returned %v, %v", pod, err)
	}
	const facts = "stage ready, pid 4711, after 1s, log /run/alice/stderr.log)"
	if diff := difference("launch alice: "+c.want+facts, elapsed.ReplaceAllString(err.Error(), "after 1s")); diff != "" {
		t.Errorf("message (-want +got):\n%s", diff)
	}
	podrig.MustBe(t, err, c.is)
}

// A withPID is a starter whose process has a number.
type withPID struct{ *fakeProcess }

func (w withPID) Start(context.Context, launcher.StartRequest) (launcher.Process, error) {
	return w, nil
}

func (withPID) PID() int { return 4711 }

// A placed log can be found by a person.
type placed struct{ *memLog }

func (p placed) Open(ctx context.Context, launch logsource.Launch) (*logsource.Log, error) {
	log, err := p.memLog.Open(ctx, launch)
	log.Path = "/run/alice/stderr.log"
	return log, err
}

// The one line that is made of the fields, where a launch would not easily
// bring them together.
func TestErrorIsOneLine(t *testing.T) {
	e := &launcher.Error{
		Stage:    launcher.StageReady,
		Name:     "ali\nce",
		Command:  launcher.Command{Path: "/bin/pod", Args: []string{"--overlay", "<overlay: 3 bytes>"}},
		PID:      7,
		Elapsed:  1234567 * time.Microsecond,
		Tail:     []string{"a\tb", "\x1b[1m"},
		LogPath:  "/run/\nlog",
		Err:      errors.New("first\nsecond"),
		Pending:  "still waiting for\r\nGodot",
		Notes:    []string{"it rains", "it\x00pours"},
		Dropped:  2,
		Leftover: errors.New("a\nchild"),
	}
	const want = `launch ali\nce: first\nsecond; still waiting for\r\nGodot; its last lines: a\tb | \x1b[1m; it rains; it\x00pours; ` +
		`the progress callback was too slow for 2 lines; NOT CLEARED: a\nchild (stage ready, pid 7, after 1.23s, log /run/\nlog)`
	if diff := difference(want, e.Error()); diff != "" {
		t.Errorf("message (-want +got):\n%s", diff)
	}
	if got, want := (&launcher.Error{Name: "alice", Stage: launcher.StageDir}).Error(), "launch alice: unknown reason (stage dir, after 0s)"; got != want {
		t.Errorf("the message of an empty error is %q, want %q", got, want)
	}
	long := strings.Repeat("\x00", 1<<20)
	e = &launcher.Error{Name: long, Err: errors.New(long), Tail: []string{long, long}, Notes: []string{long}, Leftover: errors.New(long), LogPath: long, Pending: long}
	if n := len(e.Error()); n > 32<<10 {
		t.Errorf("a message of huge parts has %d bytes", n)
	}
}

// errors.Is and errors.As find what is beneath, also what could not be cleared.
func TestErrorUnwraps(t *testing.T) {
	why, left := errors.New("why"), errors.New("left")
	e := fmt.Errorf("wrapped: %w", &launcher.Error{Err: fmt.Errorf("%w: %w", why, &exec.Error{Name: "x", Err: exec.ErrDot}), Leftover: left})
	podrig.MustBe(t, e, why, left, exec.ErrDot)
	var own *launcher.Error
	var beneath *exec.Error
	if !errors.As(e, &own) || !errors.As(e, &beneath) || beneath.Name != "x" {
		t.Errorf("errors.As found %v, %v", own, beneath)
	}
	if got := (&launcher.Error{Leftover: left}).Unwrap(); len(got) != 1 || got[0] != left {
		t.Errorf("Unwrap without Err returned %v", got)
	}
	if got := (&launcher.Error{}).Unwrap(); len(got) != 0 {
		t.Errorf("Unwrap of nothing returned %v", got)
	}
}

// No error holds the overlay's text, at any stage and for every way in which the resolver
// passes it.
func TestErrorsKeepTheOverlay(t *testing.T) {
	leaktest.Parallel(t)
	const overlay = "token = \"s3cret\"\n"
	r := newRig(t, "exit 1")
	passing := func(path string, args ...string) launcher.CommandResolver {
		return launcher.CommandResolverFunc(func(context.Context, launcher.Request) (launcher.Command, error) {
			return launcher.Command{Path: path, Args: args}, nil
		})
	}
	for _, c := range []struct {
		name    string
		command launcher.CommandResolver
		stage   launcher.Stage
		want    []string
	}{
		{"exit", passing("/bin/false", "--overlay", overlay), launcher.StageReady, []string{"--overlay", "<overlay: 17 bytes>"}},
		{"exit, in one argument", passing("/bin/false", "--overlay="+overlay), launcher.StageReady, []string{"--overlay=<overlay: 17 bytes>"}},
		{"start", passing(r.file("empty", "", 0o700), "--overlay", overlay), launcher.StageStart, []string{"--overlay", "<overlay: 17 bytes>"}},
		{"resolve", passing("relative", "--overlay", overlay), launcher.StageResolve, []string{"--overlay", "<overlay: 17 bytes>"}},
		{"invalid argument", passing("/bin/false", overlay+"\x00"), launcher.StageResolve, []string{"<overlay: 17 bytes>\x00"}},
		{"not found", launcher.Path("/nowhere"), launcher.StageResolve, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			var out bytes.Buffer
			r.L.Command = c.command
			r.L.Logger = hclog.New(&hclog.LoggerOptions{Level: hclog.Trace, Output: &out})
			e := r.Fail(t.Context(), launcher.Spec{Name: "alice", Overlay: overlay, Env: []string{"TOKEN=s3cret"}})
			if diff := difference(c.want, e.Command.Args); diff != "" || e.Command.Env != nil || e.Stage != c.stage {
				t.Errorf("stage %q, environment %q, arguments (-want +got):\n%s", e.Stage, e.Command.Env, diff)
			}
			for what, text := range map[string]string{"message": e.Error(), "fields": fmt.Sprintf("%+v %#v", *e, *e), "log": out.String()} {
				if strings.Contains(text, "s3cret") {
					t.Errorf("the %s: %s", what, text)
				}
			}
		})
	}
}

// The error of a strategy appears in the launch's error, even if the time is over by
// then.
func TestFailureAtTheEndIsTold(t *testing.T) {
	onFire := errors.New("the disk is on fire")
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	r := newRig(t, "hang")
	r.L.Log = logsource.SourceFunc(func(context.Context, logsource.Launch) (*logsource.Log, error) {
		cancel()
		return nil, onFire
	})
	e := r.Fail(ctx, launcher.Spec{Name: "alice"})
	podrig.MustBe(t, e, context.Canceled, onFire)
	podrig.MustSay(t, e, "launch alice: cancelled: context canceled; the disk is on fire (stage log,")

	// A strategy that only gave up has nothing to report.
	ctx, cancel = context.WithCancel(t.Context())
	defer cancel()
	r.L.Log = logsource.SourceFunc(func(ctx context.Context, _ logsource.Launch) (*logsource.Log, error) {
		cancel()
		return nil, fmt.Errorf("gave up: %w", ctx.Err())
	})
	e = r.Fail(ctx, launcher.Spec{Name: "alice"})
	podrig.MustSay(t, e, "launch alice: cancelled: context canceled (stage log,")
}

// The fields are those of the step that failed; what came later is not in them.
func TestErrorFields(t *testing.T) {
	r := newRig(t, "say one", "exit 3")
	e := r.Fail(t.Context(), launcher.Spec{Name: "alice"})
	if e.LogPath != filepath.Join(r.Dir("alice"), "stderr.log") || e.Command.Path != podrig.Pod || e.Endpoint != (readiness.Endpoint{}) {
		t.Errorf("%+v", e)
	}
	r.L.Log = logsource.File{Name: "no/such"}
	e = r.Fail(t.Context(), launcher.Spec{Name: "alice"})
	if e.Stage != launcher.StageLog || e.PID != 0 || e.LogPath != "" || e.Command.Path != podrig.Pod {
		t.Errorf("%+v", e)
	}
	r.L.Dir = runtimedir.Dir("relative")
	e = r.Fail(t.Context(), launcher.Spec{Name: "alice"})
	podrig.MustBe(t, e, runtimedir.ErrUnavailable)
	if e.Stage != launcher.StageDir || e.Command.Path != "" {
		t.Errorf("%+v", e)
	}
	r.L.Dir = runtimedir.ResolverFunc(func(context.Context, string) (string, error) { return "relative", nil })
	podrig.MustSay(t, r.Fail(t.Context(), launcher.Spec{Name: "alice"}), `returned the directory "relative": it must be absolute`)
}

// A strategy that breaks its contract is an error like any other, and what it
// has opened is closed.
func TestBrokenStrategies(t *testing.T) {
	leaktest.Parallel(t)
	r := newRig(t, "hang")
	r.L.Log = logsource.SourceFunc(func(context.Context, logsource.Launch) (*logsource.Log, error) { return nil, nil })
	podrig.MustSay(t, r.Fail(t.Context(), launcher.Spec{Name: "alice"}), "the log source returned neither a log nor an error (stage log,")
	r.L.Log = logsource.SourceFunc(func(ctx context.Context, launch logsource.Launch) (*logsource.Log, error) {
		log, err := logsource.File{}.Open(ctx, launch)
		if err == nil {
			log.Follow = nil
		}
		return log, err
	})
	podrig.MustSay(t, r.Fail(t.Context(), launcher.Spec{Name: "alice"}), "a log that cannot be followed (stage log,")
	for _, spec := range []launcher.Spec{{Name: "alice"}, {Name: "alice", Stderr: io.Discard}} {
		r.L.Log = logsource.SourceFunc(func(ctx context.Context, launch logsource.Launch) (*logsource.Log, error) {
			log, err := logsource.File{}.Open(ctx, launch)
			if err == nil {
				log.Follow = func(context.Context) (io.ReadCloser, error) { return nil, nil }
			}
			return log, err
		})
		podrig.MustSay(t, r.Fail(t.Context(), spec), "Follow of the log source returned neither a reader nor an error")
	}
	r.L.Log = nil
	r.L.Starter = explosive(func() {}) // it returns nil, nil
	podrig.MustSay(t, r.Fail(t.Context(), launcher.Spec{Name: "alice"}), "the starter returned neither a process nor an error (stage start,")
	r.Relaunch("alice")
}

// A record is what the Logger got, in one call.
type record map[string]any

// records returns what a launch logs at level and above.
func (r *rig) records(level hclog.Level, launch func()) (all []record) {
	r.T.Helper()
	var out bytes.Buffer
	r.L.Logger = hclog.New(&hclog.LoggerOptions{Level: level, Output: &out, JSONFormat: true})
	launch()
	for lines := json.NewDecoder(&out); lines.More(); {
		var rec record
		if err := lines.Decode(&rec); err != nil {
			r.T.Fatal(err)
		}
		all = append(all, rec)
	}
	return all
}

// messages returns the level and the message of each record.
func messages(all []record) (list []string) {
	for _, rec := range all {
		line := fmt.Sprint(rec["@level"], " ", rec["@message"])
		if stage, ok := rec["stage"]; ok {
			line += fmt.Sprint(" ", stage)
		}
		list = append(list, line)
	}
	return list
}

// A launch that succeeds logs its steps at Debug, each with the pod, the launch
// and how long it took, and one line at Info.
func TestLoggingOfAPod(t *testing.T) {
	r := newRig(t, podrig.Serve...)
	var pid int
	all := r.records(hclog.Debug, func() {
		pod := r.Launch(launcher.Spec{Name: "alice"})
		pid = pod.PID()
		mustStop(t, pod)
	})
	want := []string{
		"debug step done start", "debug step done dir", "debug step done resolve", "debug step done own", "debug step done dir",
		"debug step done log", "debug step done ready", "debug step done start", "debug process started",
		"debug step done ready", "debug step done own", "info pod is ready", "debug stopping", "debug process is gone",
	}
	if diff := difference(want, messages(all)); diff != "" {
		t.Errorf("messages (-want +got):\n%s", diff)
	}
	for _, rec := range all {
		if rec["pod"] != "alice" || rec["launch"] == "" || rec["launch"] != all[0]["launch"] {
			t.Errorf("not of this launch: %v", rec)
		}
		step := rec["@message"] == "step done"
		if took, ok := rec["took"].(float64); (step || rec["@message"] == "pod is ready") && (!ok || took <= 0) {
			t.Errorf("without its duration: %v", rec)
		}
		if !step && rec["pid"] != float64(pid) {
			t.Errorf("without the pid %d: %v", pid, rec)
		}
	}
	ready := slices.IndexFunc(all, func(rec record) bool { return rec["@message"] == "pod is ready" })
	if ready < 0 || all[ready]["endpoint"] != "unix:"+filepath.Join(r.Dir("alice"), "sock") {
		t.Errorf("without the endpoint: %v", all)
	}
	again := r.records(hclog.Info, func() { r.Launch(launcher.Spec{Name: "bob"}) })
	if diff := difference([]string{"info pod is ready"}, messages(again)); diff != "" {
		t.Errorf("messages at Info (-want +got):\n%s", diff)
	}
	if again[0]["launch"] == all[0]["launch"] {
		t.Errorf("two launches have one id: %v", again[0])
	}
}

// A launch that fails logs one line at Error, with the error's message.
func TestLoggingOfAFailure(t *testing.T) {
	r := newRig(t, "say one", "exit 3")
	var e *launcher.Error
	all := r.records(hclog.Info, func() { e = r.Fail(t.Context(), launcher.Spec{Name: "alice"}) })
	if diff := difference([]string{"error launch failed ready"}, messages(all)); diff != "" {
		t.Fatalf("messages (-want +got):\n%s", diff)
	}
	if rec := all[0]; rec["pid"] != float64(e.PID) || rec["error"] != e.Error() || rec["took"] != float64(e.Elapsed) || rec["pod"] != "alice" {
		t.Errorf("logged %v, want what is in %v", rec, e)
	}
	all = r.records(hclog.Info, func() { r.Fail(t.Context(), launcher.Spec{Name: "a/b"}) })
	if diff := difference([]string{"error launch failed dir"}, messages(all)); diff != "" {
		t.Errorf("messages (-want +got):\n%s", diff)
	}
}

// Without a Logger nothing is written anywhere.
func TestSilence(t *testing.T) {
	r := newRig(t, podrig.Serve...)
	said, err := os.Create(filepath.Join(t.TempDir(), "said"))
	if err != nil {
		t.Fatal(err)
	}
	stdout, stderr, logger := os.Stdout, os.Stderr, hclog.SetDefault(hclog.New(&hclog.LoggerOptions{Output: said}))
	os.Stdout, os.Stderr = said, said
	log.SetOutput(said)
	defer func() {
		os.Stdout, os.Stderr = stdout, stderr
		hclog.SetDefault(logger)
		log.SetOutput(stderr)
		said.Close()
	}()
	mustStop(t, r.Launch(launcher.Spec{Name: "alice"}))
	r.L.Command = podrig.Script("say one", "exit 3")
	r.Fail(t.Context(), launcher.Spec{Name: "alice"})
	if text := readFile(t, said.Name()); text != "" {
		t.Errorf("the launches wrote: %s", text)
	}
}

// What a strategy fails with is wrapped, also if it has launched another pod and hands
// on the error of that.
func TestErrorOfAnotherLaunchIsWrapped(t *testing.T) {
	inner := &launcher.Error{Stage: launcher.StageReady, Name: "builder", PID: 4711, LogPath: "/builder.log", Err: errors.New("no disk")}
	l := launcher.Launcher{
		Dir: runtimedir.Dir(t.TempDir()),
		Command: launcher.CommandResolverFunc(func(context.Context, launcher.Request) (launcher.Command, error) {
			return launcher.Command{}, inner
		}),
	}
	_, err := l.Launch(t.Context(), podrig.Alice)
	var e *launcher.Error
	if !errors.As(err, &e) || e == inner || e.Name != "alice" || e.Stage != launcher.StageResolve || e.PID != 0 || e.LogPath != "" || e.Err != error(inner) {
		t.Errorf("%+v", e)
	}
}

// A baseless Resolver says that it has a base, and that it is nowhere.
type baseless struct{ runtimedir.Resolver }

func (baseless) Base(context.Context) (string, error) { return "", nil }

// A base that is nowhere is an error of the stage in which the name is taken.
func TestBaseThatIsNowhere(t *testing.T) {
	l := launcher.Launcher{Command: launcher.Path("/bin/true"), Dir: baseless{runtimedir.Dir(t.TempDir())}, Ready: readiness.ReadyLine{}}
	_, err := l.Launch(t.Context(), podrig.Alice)
	var e *launcher.Error
	if !errors.As(err, &e) || e.Stage != launcher.StageOwn {
		t.Errorf("Launch returned %v", err)
	}
}
