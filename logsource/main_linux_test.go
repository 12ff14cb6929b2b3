package logsource_test

import (
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/podlaunch/podlaunch/runtimedir/conformance"
)

// ample ends what hangs. What a test waits for comes long before.
const ample = time.Minute

// childVariable makes this binary play one of children, for what a test cannot
// do to the process that runs all of them.
const childVariable = "LOGSOURCE_TEST_CHILD"

var children = map[string]func(args []string) error{
	"umask":     childUmask,
	"exhausted": childExhausted,
}

func TestMain(m *testing.M) {
	if name := os.Getenv(childVariable); name != "" {
		if err := children[name](os.Args[1:]); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	conformance.Main(m)
}

// child returns the command that has this binary play the child called name.
func child(t *testing.T, name string, args ...string) *exec.Cmd {
	t.Helper()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), exe, args...)
	cmd.Env = append(os.Environ(), childVariable+"="+name, "GORACE=atexit_sleep_ms=0")
	return cmd
}

// watcher is what the shared watcher consists of, which outlives its last user by
// a moment.
var watcher = []string{inotify, "logsource.(*notifier).read(", "logsource.(*hub).shut("}

// inotify is what a descriptor that watches files leads to.
const inotify = "→ anon_inode:inotify"

// watchDescriptors counts this process's inotify instances.
func watchDescriptors() (n int) {
	for _, there := range new(conformance.Snapshot).Descriptors(0) {
		if strings.HasSuffix(there, inotify) {
			n++
		}
	}
	return n
}

// leavesNothing fails the test if, when it ends, a descriptor or a goroutine is
// there that is not now, the shared watcher's aside: TestMain looks for that one.
func leavesNothing(t *testing.T) {
	t.Helper()
	before := conformance.Take()
	t.Cleanup(func() {
		t.Helper()
		if left := before.Left(ample, watcher...); left != nil {
			t.Errorf("left behind:\n%s", strings.Join(left, "\n"))
		}
	})
}

// within fails the test if f does not return at all.
func within(t *testing.T, what string, f func()) {
	t.Helper()
	done := make(chan struct{})
	go func() { defer close(done); f() }()
	select {
	case <-done:
	case <-time.After(ample):
		t.Fatal("it hangs: " + what)
	}
}
