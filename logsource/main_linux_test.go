package logsource_test

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
)

// ample ends what hangs. Whatever is waited for comes long before.
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
	before := descriptors()
	code := m.Run()
	// The fuzzer has descriptors and goroutines of its own.
	if flag.Lookup("test.fuzz").Value.String() == "" && code == 0 {
		if err := leftBehind(before); err != nil {
			fmt.Fprintln(os.Stderr, "left behind:", err)
			code = 1
		}
	}
	os.Exit(code)
}

// leftBehind finds goroutines, the watcher's included, and descriptors. The
// watcher outlives its last user by a moment.
func leftBehind(before []string) error {
	var err error
	for end := time.Now().Add(ample); time.Now().Before(end); {
		if err = goleak.Find(); err == nil { // it waits a little itself
			break
		}
	}
	if more := added(before, descriptors()); len(more) > 0 {
		err = errors.Join(err, fmt.Errorf("descriptors %q", more))
	}
	return err
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

// descriptors lists this process's open descriptors and what they lead to, but
// for those that the runtime opens once and keeps.
func descriptors() (found []string) {
	const dir = "/proc/self/fd"
	entries, err := os.ReadDir(dir)
	if err != nil {
		panic(err)
	}
	for _, e := range entries {
		to, err := os.Readlink(filepath.Join(dir, e.Name()))
		switch {
		case err != nil: // it was dir itself
		case to == "anon_inode:[eventpoll]", to == "anon_inode:[eventfd]":
		default:
			found = append(found, e.Name()+" "+to)
		}
	}
	return found
}

// watchDescriptors counts this process's inotify instances.
func watchDescriptors() (n int) {
	for _, d := range descriptors() {
		if strings.HasSuffix(d, " anon_inode:inotify") {
			n++
		}
	}
	return n
}

// added returns what is in after and was not in before.
func added(before, after []string) (more []string) {
	had := make(map[string]bool)
	for _, s := range before {
		had[s] = true
	}
	for _, s := range after {
		if !had[s] {
			more = append(more, s)
		}
	}
	return more
}

// sameDescriptors fails the test if, when it ends, a descriptor is open that
// is not now, the shared watcher's aside: TestMain looks for that one.
func sameDescriptors(t *testing.T) {
	t.Helper()
	before := descriptors()
	t.Cleanup(func() {
		t.Helper()
		for _, d := range added(before, descriptors()) {
			if !strings.HasSuffix(d, " anon_inode:inotify") {
				t.Errorf("descriptor left open: %s", d)
			}
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
