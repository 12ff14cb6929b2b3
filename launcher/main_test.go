//go:build linux

package launcher_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/podlaunch/podlaunch/launcher"
	"github.com/podlaunch/podlaunch/launcher/internal/fakepod"
	"github.com/podlaunch/podlaunch/launcher/internal/leaktest"
	"github.com/podlaunch/podlaunch/logsource"
	"github.com/podlaunch/podlaunch/runtimedir"
)

// podBinary is the fake pod.
var podBinary string

func TestMain(m *testing.M) {
	// This binary, when it plays another process, need not linger for a second
	// under the race detector.
	os.Setenv("GORACE", "atexit_sleep_ms=0")
	path, remove, err := fakepod.Build()
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	podBinary = path
	code := m.Run()
	if err := leaktest.CheckWatcher(); err != nil && code == 0 {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	remove()
	os.Exit(code)
}

// ample is a deadline for what should happen long before it. It only ends a
// test that hangs.
const ample = time.Minute

// short is a deadline for launches that are meant to run into it.
const short = 300 * time.Millisecond

// A rig launches fake pods for one test, in a directory of its own, and makes
// sure that nothing is left behind when the test ends.
type rig struct {
	t    *testing.T
	base string // short, so that a socket below it can be bound
	l    launcher.Launcher
}

// newRig returns a rig whose pods follow steps.
func newRig(t *testing.T, steps ...string) *rig {
	t.Helper()
	base, err := os.MkdirTemp("", "rig")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(base) })
	leaktest.Check(t, podBinary)
	return &rig{t: t, base: base, l: launcher.Launcher{
		Command: script(steps...),
		Dir:     runtimedir.Dir(base),
		Timeout: ample,
	}}
}

// dir is where the pod called name has its runtime directory.
func (r *rig) dir(name string) string { return filepath.Join(r.base, name) }

// fifo makes a FIFO for the fake pod's steps await and notify.
func (r *rig) fifo(name string) string {
	r.t.Helper()
	path := filepath.Join(r.base, name)
	if err := syscall.Mkfifo(path, 0o600); err != nil {
		r.t.Fatal(err)
	}
	return path
}

// launch launches a pod that has to become ready, and stops it when the test
// ends.
func (r *rig) launch(spec launcher.Spec) *launcher.Pod {
	r.t.Helper()
	pod, err := r.l.Launch(r.t.Context(), spec)
	if err != nil {
		r.t.Fatalf("launch: %v", err)
	}
	r.t.Cleanup(func() {
		r.t.Helper()
		// The test's own context is done by now.
		ctx, cancel := context.WithTimeout(context.Background(), ample)
		defer cancel()
		if err := pod.Stop(ctx); err != nil {
			r.t.Error(err)
		}
	})
	return pod
}

// fail launches a pod that must not become ready, checks what holds for every
// failure, and returns the error.
func (r *rig) fail(ctx context.Context, spec launcher.Spec) *launcher.Error {
	r.t.Helper()
	before := leaktest.Take()
	pod, err := r.l.Launch(ctx, spec)
	if pod != nil || err == nil {
		r.t.Fatalf("Launch returned the pod %v and the error %v, want an error alone", pod, err)
	}
	// Nothing may be left when Launch returns, not only when the test ends.
	if left := before.Left(0, podBinary); left != nil {
		r.t.Errorf("when Launch had failed there were left:\n%s", strings.Join(left, "\n"))
	}
	var e *launcher.Error
	if !errors.As(err, &e) {
		r.t.Fatalf("the error is a %T, want *launcher.Error: %v", err, err)
	}
	if e.Name != spec.Name || e.Stage == "" || e.Err == nil || e.Elapsed <= 0 {
		r.t.Errorf("the error lacks evidence: %+v", e)
	}
	if e.Leftover != nil {
		r.t.Errorf("not cleared: %v", e.Leftover)
	}
	msg := e.Error()
	if strings.ContainsFunc(msg, func(c rune) bool { return c < ' ' || c == 0x7f }) {
		r.t.Errorf("the message holds control characters: %q", msg)
	}
	if spec.Overlay != "" && strings.Contains(msg+fmt.Sprintf("%+v", e.Command), spec.Overlay) {
		r.t.Errorf("the error tells the overlay: %q %+v", msg, e.Command)
	}
	if e.PID != 0 {
		if e.LogPath == "" {
			r.t.Error("a process was started, and the error does not say where its log is")
		}
		mustBeGone(r.t, e.PID)
	}
	return e
}

// relaunch makes sure that the name can be launched straight after a failure.
func (r *rig) relaunch(name string) {
	r.t.Helper()
	again := *r
	again.l.Command, again.l.Timeout = script("listen", "ready", "hang"), ample
	again.l.Ready, again.l.Log, again.l.Starter = nil, nil, nil
	again.launch(launcher.Spec{Name: name})
}

// script resolves to the fake pod, which follows steps.
func script(steps ...string) launcher.CommandResolver {
	return launcher.CommandResolverFunc(func(_ context.Context, req launcher.Request) (launcher.Command, error) {
		return launcher.Command{
			Path: podBinary,
			Args: fakepod.Args(req.Spec.Name, req.RuntimeDir, steps, req.Spec.Args),
			Env:  req.Spec.Env,
		}, nil
	})
}

// readLog returns what the pod called name has written.
func (r *rig) readLog(name string) string {
	r.t.Helper()
	data, err := os.ReadFile(filepath.Join(r.dir(name), logsource.DefaultName))
	if err != nil {
		r.t.Fatal(err)
	}
	return string(data)
}

// ping has the pod answer a request over its socket.
func ping(t *testing.T, pod *launcher.Pod) {
	t.Helper()
	conn, err := pod.Dial(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	send(t, conn)
}

func send(t *testing.T, conn net.Conn) {
	t.Helper()
	fmt.Fprintln(conn, "hello")
	if answer, err := bufio.NewReader(conn).ReadString('\n'); err != nil || answer != "pong hello\n" {
		t.Errorf("the pod answered %q, %v", answer, err)
	}
}

// mustBeGone fails the test if a process of the group or the session pgid is
// alive. Zombies whose parent is not this program do not count: when they go is
// up to whoever adopted them.
func mustBeGone(t *testing.T, pgid int) {
	t.Helper()
	stats, err := filepath.Glob("/proc/[0-9]*/stat")
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range stats {
		data, err := os.ReadFile(path)
		if err != nil {
			continue // it has just gone
		}
		fields := strings.Fields(string(data[strings.LastIndexByte(string(data), ')')+1:]))
		state, parent, group, session := fields[0], fields[1], fields[2], fields[3]
		if want := strconv.Itoa(pgid); group != want && session != want {
			continue
		}
		if state != "Z" || parent == strconv.Itoa(os.Getpid()) {
			t.Errorf("of the pod %d there is still: %s", pgid, data)
		}
	}
}

// mustBe fails the test unless err is each of targets.
func mustBe(t *testing.T, err error, targets ...error) {
	t.Helper()
	for _, target := range targets {
		if !errors.Is(err, target) {
			t.Errorf("errors.Is(err, %v) is false for: %v", target, err)
		}
	}
}

// mustSay fails the test unless the message of err holds each of parts.
func mustSay(t *testing.T, err error, parts ...string) {
	t.Helper()
	for _, part := range parts {
		if !strings.Contains(err.Error(), part) {
			t.Errorf("the message lacks %q: %v", part, err)
		}
	}
}
