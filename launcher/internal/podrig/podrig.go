//go:build linux

// Package podrig is what the tests of package launcher share, in whichever
// package they are: a rig that launches fake pods in a directory of its own and
// makes sure that nothing is left behind, and checks of what came of a launch.
package podrig

import (
	"bufio"
	"context"
	"errors"
	"flag"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/podlaunch/podlaunch/launcher"
	"github.com/podlaunch/podlaunch/launcher/internal/fakepod"
	"github.com/podlaunch/podlaunch/launcher/internal/leaktest"
	"github.com/podlaunch/podlaunch/logsource"
	"github.com/podlaunch/podlaunch/runtimedir"
	"github.com/podlaunch/podlaunch/runtimedir/conformance"
)

// Soak makes the tests that move much data, or try many cases, do all that the
// fault catalogue asks for. Without it they do the same with less.
var Soak = flag.Bool("soak", false, "run the soaks at full size")

// Size returns how much a test does: short with -short, soak with -soak, else
// normal.
func Size(t *testing.T, short, normal, soak int) int {
	t.Helper()
	switch {
	case *Soak:
		return soak
	case testing.Short():
		t.Logf("with -short: %d instead of %d", short, normal)
		return short
	}
	return normal
}

// Main is what TestMain does: it builds the fake pod, runs the tests, and makes
// sure that the watcher of package logsource goes away after them, and all that
// those leave that have called leaktest.Parallel. It does not return.
func Main(m *testing.M) {
	// The test binary, when it plays another process, need not linger for a
	// second under the race detector.
	os.Setenv("GORACE", "atexit_sleep_ms=0")
	conformance.InMemory()
	remove := func() {}
	if Pod = os.Getenv(PodVariable); Pod == "" {
		var err error
		if Pod, remove, err = fakepod.Build(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Setenv(PodVariable, Pod)
	}
	waitTogether()
	code := m.Run()
	if err := errors.Join(leaktest.CheckWatcher(), leaktest.CheckShared()); err != nil && code == 0 {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	remove()
	os.Exit(code)
}

// waitTogether has twice as many tests run beside each other as there are processors, unless
// there is one, or -parallel says how many: they wait more than they compute.
func waitTogether() {
	flag.Parse()
	said := false
	flag.Visit(func(f *flag.Flag) { said = said || f.Name == "test.parallel" })
	if n := runtime.GOMAXPROCS(0); n > 1 && !said {
		flag.Set("test.parallel", strconv.Itoa(2*n))
	}
}

// A Rig launches fake pods for one test, in a directory of its own, and makes
// sure that nothing is left behind when the test ends.
type Rig struct {
	T    *testing.T
	Base string // short, so that a socket below it can be bound
	L    launcher.Launcher

	// PodsPour says that pods write until they are killed, so that the log need
	// not end where the tail of an error does.
	PodsPour bool

	names *names // shared by copies
}

// New returns a rig whose pods follow steps.
func New(t *testing.T, steps ...string) *Rig {
	t.Helper()
	base, err := os.MkdirTemp("", "rig")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(base) })
	leaktest.Check(t, Pod)
	r := &Rig{T: t, Base: base, names: &names{failed: make(map[string]string)}, L: launcher.Launcher{
		Command: Script(steps...),
		Dir:     runtimedir.Dir(base),
		Timeout: Ample,
	}}
	t.Cleanup(func() { r.names.relaunch(t) })
	return r
}

// Dir is where the pod called name has its runtime directory.
func (r *Rig) Dir(name string) string { return filepath.Join(r.Base, name) }

// Fifo makes a FIFO for the fake pod's steps await and notify.
func (r *Rig) Fifo(name string) string {
	r.T.Helper()
	path := filepath.Join(r.Base, name)
	if err := syscall.Mkfifo(path, 0o600); err != nil {
		r.T.Fatal(err)
	}
	return path
}

// A StarterFunc is a Starter that is called.
type StarterFunc func(context.Context, launcher.StartRequest) (launcher.Process, error)

func (f StarterFunc) Start(ctx context.Context, req launcher.StartRequest) (launcher.Process, error) {
	return f(ctx, req)
}

// ReadLog returns what the pod called name has written.
func (r *Rig) ReadLog(name string) string {
	r.T.Helper()
	data, err := os.ReadFile(filepath.Join(r.Dir(name), logsource.DefaultName))
	if err != nil {
		r.T.Fatal(err)
	}
	return string(data)
}

// Wake wakes a pod that awaits the FIFO at path. It blocks until there is one.
func Wake(t *testing.T, path string) {
	t.Helper()
	f, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	f.Close()
}

// Await waits for a pod that notifies the FIFO at path.
func Await(t *testing.T, path string) {
	t.Helper()
	f, err := os.Open(path) // returns once the pod has opened its end
	if err != nil {
		t.Fatal(err)
	}
	f.Close()
}

// Ping has the pod answer a request over its socket.
func Ping(t *testing.T, pod *launcher.Pod) {
	t.Helper()
	conn, err := pod.Dial(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	Send(t, conn)
}

// Send has the pod at the other end of conn answer a request.
func Send(t *testing.T, conn net.Conn) {
	t.Helper()
	fmt.Fprintln(conn, "hello")
	if answer, err := bufio.NewReader(conn).ReadString('\n'); err != nil || answer != "pong hello\n" {
		t.Errorf("the pod answered %q, %v", answer, err)
	}
}

// MustBeGone fails the test if a process of the group or the session pgid is alive.
// Zombies whose parent is not this program do not count: the process that adopted them
// decides when they go. A process that its parent is just reaping (state X) does not
// count, either.
func MustBeGone(t *testing.T, pgid int) {
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
		if ours := parent == strconv.Itoa(os.Getpid()); state != "X" && (state != "Z" || ours) {
			t.Errorf("of the pod %d there is still: %s", pgid, data)
		}
	}
}

// MustBe fails the test unless err is each of targets.
func MustBe(t *testing.T, err error, targets ...error) {
	t.Helper()
	for _, target := range targets {
		if !errors.Is(err, target) {
			t.Errorf("errors.Is(err, %v) is false for: %v", target, err)
		}
	}
}

// MustSay fails the test unless the message of err holds each of parts.
func MustSay(t *testing.T, err error, parts ...string) {
	t.Helper()
	for _, part := range parts {
		if !strings.Contains(err.Error(), part) {
			t.Errorf("the message lacks %q: %v", part, err)
		}
	}
}
