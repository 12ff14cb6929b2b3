//go:build linux

package crashpoint_test

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	_ "net" // has threads of the C library, where there is cgo
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/podlaunch/podlaunch/launcher/internal/crashpoint"
)

// The variable that makes this test binary play the program that is run, in the
// directory that it names.
const roleVariable = "CRASHPOINT_TEST_DIR"

func TestMain(m *testing.M) {
	switch dir := os.Getenv(roleVariable); dir {
	case "":
		os.Exit(m.Run())
	case busy:
		beBusy()
	default:
		if err := play(dir); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
	}
	os.Exit(0)
}

// busy is the value of roleVariable with which the program only computes.
const busy = "busy"

// beBusy is longer at it than the time after which the Go runtime looks how many
// processors it may use. It has more threads than glibc makes arenas without that.
func beBusy() {
	crashpoint.Begin()
	var begun sync.WaitGroup
	for range 16 {
		begun.Add(1)
		go func() {
			runtime.LockOSThread()
			begun.Done()
			select {}
		}()
	}
	begun.Wait()
	for begin := time.Now(); time.Since(begin) < 1200*time.Millisecond; {
	}
	crashpoint.End()
}

// files is how many files the program makes, one after another.
const files = 5

// play makes files, forks a child that opens a FIFO, and makes more files.
func play(dir string) error {
	make := func(name string) error { return os.WriteFile(filepath.Join(dir, name), nil, 0o600) }
	if err := make("before"); err != nil {
		return err
	}
	// The first process that a Go program starts makes package os try out in
	// another child what the kernel can do.
	if err := exec.Command("/bin/true").Run(); err != nil {
		return err
	}
	crashpoint.Begin()
	for i := range files {
		if err := make(fmt.Sprint(i)); err != nil {
			return err
		}
	}
	if err := exec.Command("/bin/sh", "-c", `echo "$PPID" >"$1"`, "sh", filepath.Join(dir, "fifo")).Run(); err != nil {
		return err
	}
	if err := make("last"); err != nil {
		return err
	}
	crashpoint.End()
	return make("after")
}

// A trial is one run of the program, in a directory of its own.
type trial struct {
	dir    string
	fifo   int // what the child writes can be read from it
	result crashpoint.Result
}

// run runs the program.
func run(t *testing.T, n int, count func(crashpoint.Point) bool, held func(trial)) trial {
	t.Helper()
	tr := trial{dir: t.TempDir()}
	path := filepath.Join(tr.dir, "fifo")
	if err := syscall.Mkfifo(path, 0o600); err != nil {
		t.Fatal(err)
	}
	// Open for both, so that the child does not wait for a reader.
	var err error
	if tr.fifo, err = unix.Open(path, unix.O_RDWR|unix.O_NONBLOCK|unix.O_CLOEXEC, 0); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Close(tr.fifo) })
	program := crashpoint.Program{
		Path:   os.Args[0],
		Env:    append(os.Environ(), roleVariable+"="+tr.dir),
		Stderr: os.Stderr,
		Count:  count,
	}
	if held != nil {
		program.Held = func() { held(tr) }
	}
	if tr.result, err = crashpoint.Run(program, n); err != nil {
		t.Fatalf("point %d: %v", n, err)
	}
	return tr
}

// spoken reports whether the child has written, and waits for it that long.
func (tr trial) spoken(wait time.Duration) bool {
	poll := []unix.PollFd{{Fd: int32(tr.fifo), Events: unix.POLLIN}}
	n, err := unix.Poll(poll, int(wait.Milliseconds()))
	for errors.Is(err, unix.EINTR) {
		n, err = unix.Poll(poll, int(wait.Milliseconds()))
	}
	return n == 1
}

// has reports whether the program has made a file.
func (tr trial) has(t *testing.T, name any) bool {
	t.Helper()
	_, err := os.Lstat(filepath.Join(tr.dir, fmt.Sprint(name)))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		t.Fatal(err)
	}
	return err == nil
}

// A program that is not killed runs to its end, and what it does is counted.
func TestWhole(t *testing.T) {
	tr := run(t, 0, nil, nil)
	if tr.result.Killed || !tr.result.Status.Exited() || tr.result.Status.ExitStatus() != 0 {
		t.Errorf("it ended as %+v", tr.result)
	}
	// Each file is opened and closed, which are two points each.
	if least := 4 * (files + 1); tr.result.Points < least {
		t.Errorf("%d points, want at least %d", tr.result.Points, least)
	}
	if !tr.has(t, "last") || !tr.has(t, "after") {
		t.Error("it has not done all that it had to")
	}
	if beyond := run(t, 100*tr.result.Points, nil, nil); beyond.result.Killed {
		t.Errorf("it was killed at a point that it does not come to: %+v", beyond.result)
	}
}

// A program that is killed has done what comes before the point, and nothing of
// what comes after it. It is killed in its own calls and in those of its child;
// that child goes on, though not while Held runs.
func TestEveryPoint(t *testing.T) {
	inProgram, inChild := 0, 0
	// Of the others there are as many as the runtime happens to make, and so
	// they come at other numbers each time.
	count := func(p crashpoint.Point) bool {
		return slices.Contains([]string{"clone", "dup3", "execve", "openat"}, p.Call)
	}
	for n := 1; ; n++ {
		early := false
		tr := run(t, n, count, func(tr trial) { early = tr.spoken(0) })
		at := tr.result.At
		if !tr.result.Killed {
			break
		}
		if s := tr.result.Status; !s.Signaled() || s.Signal() != syscall.SIGKILL || tr.result.Points != n || at.Call == "" {
			t.Fatalf("point %d: %+v", n, tr.result)
		}
		if !tr.has(t, "before") || tr.has(t, "after") {
			t.Errorf("point %d (%v) is not between the marks", n, at)
		}
		for i := 1; i < files; i++ {
			if tr.has(t, i) && !tr.has(t, i-1) {
				t.Errorf("point %d (%v): file %d is there, and not the one before", n, at, i)
			}
		}
		if !at.Child && at.Where != "child" {
			inProgram++
			continue
		}
		inChild++
		switch {
		case !tr.has(t, files-1) || tr.has(t, "last"):
			t.Errorf("point %d (%v): the child was not forked between the files", n, at)
		case early:
			t.Errorf("point %d (%v): the child has gone on too early", n, at)
		case !tr.spoken(time.Minute):
			t.Errorf("point %d (%v): the child did not go on", n, at)
		}
	}
	t.Logf("killed at %d points of the program and %d of its child", inProgram, inChild)
	// The program opens each file and makes the child. The child puts three descriptors
	// into their places and calls exec, which has an entry and no exit. If the runtime
	// makes a thread before the child in one run, the child's points are two later in it,
	// and the runs miss two of them.
	if inProgram < 2*(files+1)+2 || inChild < 1+2*3+1-2 {
		t.Errorf("%d points of the program, %d of its child", inProgram, inChild)
	}
}

// Points that do not count are passed over.
func TestCount(t *testing.T) {
	creates := func(p crashpoint.Point) bool { return p.Call == "openat" && p.Where == "exit" && !p.Child }
	for n := 1; n <= files; n++ {
		tr := run(t, n, creates, nil)
		if !tr.result.Killed || tr.result.At.String() != "openat exit" || !tr.has(t, n-1) || tr.has(t, n) {
			t.Errorf("point %d: %+v", n, tr.result)
		}
	}
}

// A program that cannot be started is an error.
func TestNoProgram(t *testing.T) {
	_, err := crashpoint.Run(crashpoint.Program{Path: filepath.Join(t.TempDir(), "none")}, 1)
	if !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("Run returned %v", err)
	}
}

// However slow the program is, and how many threads it has, the Go runtime and the C library
// make no calls of their own for that.
func TestQuiet(t *testing.T) {
	if testing.Short() {
		t.Skip("skipped with -short: the program computes for a second")
	}
	seen := make(map[string]bool)
	result, err := crashpoint.Run(crashpoint.Program{
		Path:   os.Args[0],
		Env:    append(os.Environ(), roleVariable+"="+busy),
		Stderr: os.Stderr,
		Count: func(p crashpoint.Point) bool {
			seen[p.Call] = true
			return true
		},
	}, 0)
	if err != nil || result.Status != 0 {
		t.Fatalf("the program: %v, %#x", err, result.Status)
	}
	for _, call := range []string{"pread64", "openat", "read", "tgkill"} {
		if seen[call] {
			t.Errorf("the runtime, or the C library, has called %s: %v", call, slices.Sorted(maps.Keys(seen)))
		}
	}
	t.Log(slices.Sorted(maps.Keys(seen)))
}
