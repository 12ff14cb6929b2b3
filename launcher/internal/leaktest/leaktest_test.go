//go:build linux

package leaktest_test

import (
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/podlaunch/podlaunch/launcher/internal/leaktest"
)

// leaks are the kinds of things that are left behind, and how each is called. leak
// may run the program sleep.
var leaks = []struct {
	name, want string
	leak       func(t *testing.T, sleep string) (undo func())
}{
	{"goroutine", "created by github.com/podlaunch/podlaunch/launcher/internal/leaktest_test", func(_ *testing.T, _ string) func() {
		stop := make(chan struct{})
		go func() { <-stop }()
		return func() { close(stop) }
	}},
	{"descriptor", "→ /dev/null", func(t *testing.T, _ string) func() {
		f, err := os.Open("/dev/null")
		if err != nil {
			t.Fatal(err)
		}
		return func() { f.Close() }
	}},
	{"watch", "1 watches of files, and there were 0", func(t *testing.T, _ string) func() {
		fd, err := unix.InotifyInit1(unix.IN_CLOEXEC)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := unix.InotifyAddWatch(fd, "/", unix.IN_CREATE); err != nil {
			t.Fatal(err)
		}
		return func() { unix.Close(fd) }
	}},
	{"child", "(sleep) state", func(t *testing.T, sleep string) func() {
		c := start(t, sleep, "1000")
		return func() { c.Process.Kill(); c.Wait() }
	}},
	{"zombie", "(true) state Z", func(t *testing.T, _ string) func() {
		c := start(t, "true")
		for { // until it is one
			if data, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(c.Process.Pid), "stat")); err != nil {
				t.Fatal(err)
			} else if strings.Contains(string(data), ") Z ") {
				break
			}
		}
		return func() { c.Wait() }
	}},
	{"orphan of a program", "of SLEEP", func(t *testing.T, sleep string) func() {
		// The shell prints the pid of a child that is nobody's by then.
		out, err := exec.Command("sh", "-c", sleep+" 1000 >/dev/null 2>&1 & echo $!").Output()
		if err != nil {
			t.Fatal(err)
		}
		pid := atoi(t, strings.TrimSpace(string(out)))
		for {
			program, err := os.Readlink(fmt.Sprintf("/proc/%d/exe", pid))
			if err != nil {
				t.Fatal(err)
			}
			if program == sleep {
				break // until then it is the shell's
			}
		}
		return func() { syscall.Kill(pid, syscall.SIGKILL) }
	}},
}

// A check that cannot fail proves nothing: each kind of leak must be told, and
// told by its name. Each case leaks, looks, and then clears away.
func TestLeaksAreFound(t *testing.T) {
	sleep := copyOf(t, "sleep") // for others may run theirs
	for _, c := range leaks {
		t.Run(c.name, func(t *testing.T) {
			before := leaktest.Take()
			if left := before.Left(time.Second, sleep); left != nil {
				t.Fatalf("before the leak: %v", left)
			}
			undo := c.leak(t, sleep)
			left := strings.Join(before.Left(20*time.Millisecond, sleep), "\n")
			undo()
			if want := strings.ReplaceAll(c.want, "SLEEP", sleep); !strings.Contains(left, want) {
				t.Errorf("found %q, want it to hold %q", left, want)
			}
			if left := before.Left(5*time.Second, sleep); left != nil {
				t.Errorf("after the leak: %v", left)
			}
		})
	}
}

// recorder is a TB that notes failures.
type recorder struct {
	cleanup  []func()
	failed   string
	parallel bool
}

func (r *recorder) Helper()                           {}
func (r *recorder) Parallel()                         { r.parallel = true }
func (r *recorder) Cleanup(f func())                  { r.cleanup = append(r.cleanup, f) }
func (r *recorder) Errorf(format string, args ...any) { r.failed += fmt.Sprintf(format, args...) }

// end is what package testing does when the test is over.
func (r *recorder) end() {
	for _, f := range r.cleanup {
		f()
	}
}

// Check itself passes when nothing is left.
func TestCheckPasses(t *testing.T) {
	var r recorder
	leaktest.Check(&r)
	r.end()
	if r.failed != "" || len(r.cleanup) == 0 {
		t.Errorf("failed: %v, cleanups: %d", r.failed, len(r.cleanup))
	}
	if err := leaktest.CheckWatcher(); err != nil {
		t.Error(err)
	}
}

// What a test leaves behind while others may run is found when all are over.
func TestCheckShared(t *testing.T) {
	defer leaktest.Reset()
	sleep := copyOf(t, "sleep")
	if err := leaktest.CheckShared(); err != nil || leaktest.Shared() {
		t.Errorf("before tests run beside each other: %v, %v", err, leaktest.Shared())
	}
	var first, second recorder
	for _, r := range []*recorder{&first, &second} {
		leaktest.Parallel(r)
		leaktest.Check(r, sleep)
		if !r.parallel || leaktest.Shared() != (flag.Lookup("test.parallel").Value.String() != "1") {
			t.Errorf("parallel: %v, shared: %v", r.parallel, leaktest.Shared())
		}
	}
	c := start(t, sleep, "1000")
	defer c.Wait()
	defer c.Process.Kill()
	leaktest.SetPatience(20 * time.Millisecond)
	defer leaktest.SetPatience(10 * time.Second)
	second.end()
	first.end()
	err := leaktest.CheckShared()
	if !leaktest.Shared() {
		if err != nil || first.failed == "" || second.failed == "" {
			t.Errorf("alone: %v, %q, %q", err, first.failed, second.failed)
		}
		return
	}
	if first.failed+second.failed != "" || err == nil {
		t.Fatalf("the tests say %q, %q, and in the end %v", first.failed, second.failed, err)
	}
	for _, want := range []string{"left behind by the parallel tests", "child", sleep} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("in the end it says %q, want it to hold %q", err, want)
		}
	}
}

// copyOf returns a copy of a program, which nobody else runs.
func copyOf(t *testing.T, name string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	if err != nil {
		t.Fatal(err)
	}
	program, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	path = filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, program, 0o700); err != nil {
		t.Fatal(err)
	}
	return path
}

func start(t *testing.T, name string, args ...string) *exec.Cmd {
	t.Helper()
	c := exec.Command(name, args...)
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	return c
}

func atoi(t *testing.T, s string) int {
	t.Helper()
	n, err := strconv.Atoi(s)
	if err != nil {
		t.Fatal(err)
	}
	return n
}
