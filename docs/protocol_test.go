//go:build linux || darwin || freebsd

package docs_test

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/podlaunch/podlaunch/launcher"
)

// ample only ends a test that hangs.
const ample = time.Minute

// The pods that docs/protocol.md prints are launched as they are printed, with
// the default strategies, wherever the chain of variables leads to.
func TestPodsOfTheProtocol(t *testing.T) {
	doc := read(t, "protocol.md")
	for _, lang := range []struct {
		heading, fence, file string
		needs                string // the program that runs or builds it
		build                func(t *testing.T, source string) (pod string)
	}{
		{"A pod in POSIX shell", "sh", "pod.sh", "python3", executable},
		{"A pod in Python", "python", "pod.py", "python3", executable},
		{"A pod in C", "c", "pod.c", "cc", compiled},
	} {
		t.Run(lang.fence, func(t *testing.T) {
			need(t, lang.needs)
			source := filepath.Join(t.TempDir(), lang.file)
			if err := os.WriteFile(source, []byte(codeBlock(t, doc, lang.heading, lang.fence)), 0o600); err != nil {
				t.Fatal(err)
			}
			t.Setenv("INSOMNIA_POD_COMMAND", lang.build(t, source))
			for _, place := range []struct{ variable, below string }{
				{"INSOMNIA_RUNTIME_DIR", ""},
				{"INSOMNIA_HOME", "run"},
				{"XDG_RUNTIME_DIR", "insomnia"},
				{"HOME", ".insomnia/run"},
			} {
				t.Run(place.variable, func(t *testing.T) {
					if testing.Short() && place.variable != "HOME" {
						t.Skip("skipped with -short: one place is tried, the last")
					}
					home := onlyPlace(t, place.variable)
					servePod(t, filepath.Join(home, place.below, "alice"))
				})
			}
		})
	}
}

// servePod launches the pod several times, fresh and resuming a session, with
// its overlay in each of the ways in which it may come, talks to it, and stops
// it. The second one finds the socket of the first in its way.
func servePod(t *testing.T, dir string) {
	session := uuid.New()
	for _, run := range []struct {
		session   uuid.UUID
		says      string
		transport launcher.OverlayTransport
	}{
		{uuid.Nil, "a fresh session", launcher.OverlayAsArgument},
		{session, session.String(), launcher.OverlayAsFile},
		{session, session.String(), launcher.OverlayAsDescriptor},
	} {
		if run.transport == launcher.OverlayAsDescriptor && runtime.GOOS == "freebsd" {
			t.Log("not run: the overlay as a descriptor, which on freebsd needs fdescfs")
			continue
		}
		var said []string
		l := launcher.Launcher{Timeout: ample, OverlayTransport: run.transport}
		pod, err := l.Launch(t.Context(), launcher.Spec{
			Name:     "alice",
			Overlay:  "name = \"alice\"\n",
			Session:  run.session,
			Progress: func(line string) { said = append(said, line) },
		})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { stop(t, pod) })
		if !slices.Equal(said, []string{run.says}) {
			t.Errorf("the pod said %q, want %q", said, run.says)
		}
		if want := filepath.Join(dir, "sock"); pod.RuntimeDir() != dir || pod.Endpoint().Address != want {
			t.Errorf("the pod is in %q at %q, want %q and %q", pod.RuntimeDir(), pod.Endpoint().Address, dir, want)
		}
		talk(t, pod)
		talk(t, pod)
		stop(t, pod)
	}
	for _, name := range []string{"stderr.log", "stderr.log.1"} {
		log, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil || strings.Count(string(log), "\n") != 2 {
			t.Errorf("%s holds %q (%v), want the session and the ready line", name, log, err)
		}
	}
}

// talk has the pod answer a line.
func talk(t *testing.T, pod *launcher.Pod) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), ample)
	defer cancel()
	conn, err := pod.Dial(ctx)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(ample))
	fmt.Fprintln(conn, "hello")
	if answer, err := bufio.NewReader(conn).ReadString('\n'); answer != "pong hello\n" {
		t.Errorf("the pod answered %q, %v", answer, err)
	}
}

// stop stops the pod and makes sure that nobody of it serves the socket any
// more.
func stop(t *testing.T, pod *launcher.Pod) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), ample)
	defer cancel()
	if err := pod.Stop(ctx); err != nil {
		t.Error(err)
	}
	if conn, err := pod.Dial(ctx); err == nil {
		conn.Close()
		t.Errorf("somebody still answers at %v", pod.Endpoint())
	}
}

// onlyPlace sets variable, and clears the other variables that lead to a runtime
// directory. It returns the value: a directory with a path short enough for a socket.
func onlyPlace(t *testing.T, variable string) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "pod")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	if dir, err = filepath.EvalSymlinks(dir); err != nil {
		t.Fatal(err)
	}
	for _, v := range []string{"INSOMNIA_RUNTIME_DIR", "INSOMNIA_HOME", "XDG_RUNTIME_DIR", "HOME"} {
		t.Setenv(v, "")
	}
	t.Setenv(variable, dir)
	return dir
}

// need makes sure that a program is there. Where it is not the test is
// skipped, but never in CI, which has to install it.
func need(t *testing.T, program string) {
	t.Helper()
	_, err := exec.LookPath(program)
	switch {
	case err == nil:
	case os.Getenv("CI") != "":
		t.Fatalf("this pod needs %s, which CI must have: %v", program, err)
	default:
		t.Skipf("this pod needs %s: %v", program, err)
	}
}

// executable makes a script executable.
func executable(t *testing.T, source string) string {
	t.Helper()
	if err := os.Chmod(source, 0o700); err != nil {
		t.Fatal(err)
	}
	return source
}

// compiled compiles a C program.
func compiled(t *testing.T, source string) string {
	t.Helper()
	pod := strings.TrimSuffix(source, ".c")
	out, err := exec.Command("cc", "-std=gnu11", "-Wall", "-Wextra", "-Werror", "-O2", "-o", pod, source).CombinedOutput()
	if err != nil {
		t.Fatalf("cc: %v\n%s", err, out)
	}
	return pod
}
