//go:build unix

package main_test

import (
	"bufio"
	"errors"
	"flag"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"

	"github.com/podlaunch/podlaunch/examples/internal/exampletest"
)

var update = flag.Bool("update", false, "write the golden files anew")

// Both modes print the expected output, and leave nothing behind.
func TestOutput(t *testing.T) {
	bin := exampletest.Build(t, ".")
	for golden, args := range map[string][]string{
		"working.txt": nil,
		"failing.txt": {"-fail"},
	} {
		t.Run(golden, func(t *testing.T) {
			check(t, golden, exampletest.Run(t, bin, nil, args...))
		})
	}
}

// It needs nothing from the environment: no variable that the launcher or the pod reads,
// and no TMPDIR that exists or is short enough for the path of a socket.
func TestEnvironment(t *testing.T) {
	bin := exampletest.Build(t, ".")
	long := filepath.Join(t.TempDir(), strings.Repeat("long", 30))
	if err := os.Mkdir(long, 0o700); err != nil {
		t.Fatal(err)
	}
	link := filepath.Join(t.TempDir(), "short")
	if err := os.Symlink(long, link); err != nil {
		t.Fatal(err)
	}
	for name, env := range map[string][]string{
		"no variables":     {"HOME=", "PATH=", "TMPDIR="},
		"misleading":       {"HOME=relative", "XDG_RUNTIME_DIR=relative", "INSOMNIA_HOME=relative", "INSOMNIA_RUNTIME_DIR=relative", "INSOMNIA_POD_COMMAND=/nonexistent"},
		"TMPDIR missing":   {"TMPDIR=/nonexistent"},
		"TMPDIR too long":  {"TMPDIR=" + long},
		"TMPDIR is a link": {"TMPDIR=" + link},
	} {
		t.Run(name, func(t *testing.T) {
			r := exampletest.Run(t, bin, env)
			check(t, "working.txt", r)
			// The directory need not have been in the TMPDIR that Run looks at.
			dir := regexp.MustCompile(`dir .* ms +(/\S+)/alice\n`).FindStringSubmatch(r.Stdout)
			if dir == nil {
				t.Fatalf("it names no directory:\n%s", r.Stdout)
			}
			if _, err := os.Stat(dir[1]); !errors.Is(err, fs.ErrNotExist) {
				t.Errorf("%s was left behind: %v", dir[1], err)
			}
		})
	}
}

// check compares the output of a run that succeeded with a golden file.
func check(t *testing.T, golden string, r exampletest.Result) {
	t.Helper()
	if r.Code != 0 || r.Stderr != "" {
		t.Errorf("exit status %d, stderr %q", r.Code, r.Stderr)
	}
	path := filepath.Join("testdata", golden)
	got := exampletest.Mask(r.Stdout, "alice")
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("the output is not that of %s (go test -update writes it anew):\n%s", path, got)
	}
}

// The pod removes its socket when it is ended, even while a client connects. Accept may
// then return with a connection, and not because of the end.
func TestSocketIsRemoved(t *testing.T) {
	bin := exampletest.Build(t, ".")
	base, err := os.MkdirTemp("", "run") // not t.TempDir, whose path is too long for a socket
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(base)
	socket := filepath.Join(base, "alice", "sock")
	for range 20 {
		pod := exec.Command(bin, "--overlay", `name = "alice"`)
		pod.Env = append(os.Environ(), "INSOMNIA_RUNTIME_DIR="+base)
		stderr, err := pod.StderrPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := pod.Start(); err != nil {
			t.Fatal(err)
		}
		said := bufio.NewScanner(stderr)
		for said.Scan() && !strings.HasPrefix(said.Text(), "INSOMNIA-READY\t") {
		}
		for clients := 0; ; clients++ {
			conn, err := net.Dial("unix", socket)
			if err != nil {
				break // it has ended
			}
			conn.Close()
			if clients == 2 {
				pod.Process.Signal(syscall.SIGTERM)
			}
		}
		if err := pod.Wait(); err != nil {
			t.Fatal(err)
		}
		if _, err := os.Lstat(socket); !errors.Is(err, fs.ErrNotExist) {
			t.Fatalf("the socket is still there: %v", err)
		}
	}
}
