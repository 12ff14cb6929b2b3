//go:build linux

package crashpoint_test

import (
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/podlaunch/podlaunch/launcher/internal/crashpoint"
)

// runFailing runs the program and has fail say which of its calls do. It returns
// the directory in which it made its files, and what it said.
func runFailing(t *testing.T, fail func(crashpoint.Call) syscall.Errno) (dir, said string, result crashpoint.Result) {
	t.Helper()
	if !crashpoint.CanFail {
		t.Skipf("calls can be made to fail only on amd64 so far; this is %s", runtime.GOARCH)
	}
	dir = t.TempDir()
	path := filepath.Join(dir, "fifo")
	if err := syscall.Mkfifo(path, 0o600); err != nil {
		t.Fatal(err)
	}
	// Open for both, so that the child does not wait for a reader.
	fifo, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer fifo.Close()
	stderr, err := os.Create(filepath.Join(dir, "stderr"))
	if err != nil {
		t.Fatal(err)
	}
	defer stderr.Close()
	result, err = crashpoint.Run(crashpoint.Program{
		Path:   os.Args[0],
		Env:    append(os.Environ(), roleVariable+"="+dir),
		Stderr: stderr,
		Fail:   fail,
	}, 0)
	if err != nil {
		t.Fatal(err)
	}
	text, err := io.ReadAll(io.NewSectionReader(stderr, 0, 1<<20))
	if err != nil {
		t.Fatal(err)
	}
	return dir, string(text), result
}

// The tracer asks Fail about the calls between the marks, and says what each is about.
func TestCalls(t *testing.T) {
	seen := make(map[string]int)
	_, said, result := runFailing(t, func(c crashpoint.Call) syscall.Errno {
		seen[c.String()]++
		return 0
	})
	if result.Status != 0 {
		t.Fatalf("it ended with %#x: %s", result.Status, said)
	}
	for call, least := range map[string]int{
		"openat": files + 1, "close file": files + 1, "read pipe": 1,
		"clone process": 1, "dup3 in the child": 3, "execve in the child": 1,
	} {
		if seen[call] < least {
			t.Errorf("%s: %d calls, want at least %d", call, seen[call], least)
		}
	}
	// The files, and the null device three times for the child.
	if seen["openat"] != files+1+3 {
		t.Errorf("%d files were opened: also those before or after the marks?", seen["openat"])
	}
}

// The nth call of a kind returns the error to the program, and the kernel does not make it.
func TestFail(t *testing.T) {
	for n := 1; n <= files; n++ {
		count := 0
		dir, said, result := runFailing(t, func(c crashpoint.Call) syscall.Errno {
			if c.Name == "openat" {
				if count++; count == n {
					return unix.ENOSPC
				}
			}
			return 0
		})
		made, err := filepath.Glob(filepath.Join(dir, "[0-9]"))
		if err != nil || len(made) != n-1 {
			t.Errorf("call %d failed: there are %v, %v", n, made, err)
		}
		if result.Status.ExitStatus() != 1 || !strings.Contains(said, unix.ENOSPC.Error()) {
			t.Errorf("call %d failed: status %#x, it said: %s", n, result.Status, said)
		}
	}
}

// The fork itself and the calls of a forked child fail in the same way. A close reports
// the error as well, but the kernel makes it: otherwise package endurance, where close
// fails very often, would find a descriptor left.
func TestFailOtherwise(t *testing.T) {
	for _, c := range []struct {
		call  crashpoint.Call
		errno syscall.Errno
	}{
		{crashpoint.Call{Name: "close", On: "file"}, unix.EIO},
		{crashpoint.Call{Name: "execve", Child: true}, unix.EACCES},
		{crashpoint.Call{Name: "clone", On: "process"}, unix.EAGAIN},
	} {
		t.Run(c.call.String(), func(t *testing.T) {
			failed := ""
			_, said, result := runFailing(t, func(call crashpoint.Call) syscall.Errno {
				if call == c.call && failed == "" {
					failed = call.String()
					return c.errno
				}
				return 0
			})
			if failed == "" || result.Status.ExitStatus() != 1 || !strings.Contains(said, c.errno.Error()) {
				t.Errorf("%s: status %#x, it said: %s", failed, result.Status, said)
			}
		})
	}
}
