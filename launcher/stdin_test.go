//go:build linux

package launcher_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/podlaunch/podlaunch/launcher"
	"github.com/podlaunch/podlaunch/launcher/internal/leaktest"
	"github.com/podlaunch/podlaunch/launcher/internal/podrig"
	"github.com/podlaunch/podlaunch/readiness"
	"github.com/podlaunch/podlaunch/runtimedir"
)

// readyShell is the command of a shell that does script, and whose variable r is a
// ready line for printf.
func readyShell(script string) launcher.CommandResolver {
	return launcher.Exec("/bin/sh", "-c", `r='INSOMNIA-READY\talice\t/nowhere\n'; `+script)
}

// stdinRig returns a rig whose pod is such a shell.
func stdinRig(t *testing.T, script string) *rig {
	t.Helper()
	r := newRig(t)
	r.L.Ready, r.L.Command = readiness.ReadyLine{}, readyShell(script)
	return r
}

// isBlockedIn waits until the pod has become program, and sleeps in it.
func isBlockedIn(t *testing.T, pid int, program string) {
	t.Helper()
	want := fmt.Sprintf("(%s) S ", program)
	for end := time.Now().Add(podrig.Late); !strings.Contains(procFile(t, pid, "stat"), want); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("it is %q, want %q", procFile(t, pid, "stat"), want)
		}
	}
}

// neverEnds makes sure that there is nothing to read on the pod's stdin, no end, and
// that a read blocks.
func neverEnds(t *testing.T, pid int) {
	t.Helper()
	fd, err := syscall.Open(fmt.Sprintf("/proc/%d/fd/0", pid), syscall.O_RDONLY|syscall.O_NONBLOCK|syscall.O_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer syscall.Close(fd)
	if n, err := syscall.Read(fd, make([]byte, 1)); !errors.Is(err, syscall.EAGAIN) {
		t.Errorf("a read of its stdin that must not block returns %d, %v; want EAGAIN", n, err)
	}
	var flags int
	for line := range strings.Lines(procFile(t, pid, "fdinfo/0")) {
		fmt.Sscanf(line, "flags: %o", &flags)
	}
	if flags&syscall.O_NONBLOCK != 0 {
		t.Errorf("its stdin has the flags %#o, and does not block", flags)
	}
}

// W11: with StdinOpen a program that ends when its stdin does stays.
func TestStdinOpen(t *testing.T) {
	for program, script := range map[string]string{
		"cat": `printf "$r" >&2; exec cat`,
		"sh":  `printf "$r" >&2; read line; exit 3`,
	} {
		t.Run(program, func(t *testing.T) {
			r := stdinRig(t, script)
			pod := r.Launch(launcher.Spec{Name: "alice", StdinOpen: true})
			isBlockedIn(t, pod.PID(), program)
			neverEnds(t, pod.PID())
			podrig.MustLive(t, pod)
			mustStop(t, pod)
		})
	}
}

// W11: it stays open when the launcher is killed.
func TestStdinOpenOutlivesLauncher(t *testing.T) {
	leaktest.Parallel(t)
	const role = "PODLAUNCH_TEST_STDIN"
	command := readyShell(`printf "$r" >&2; exec cat`)
	if base := os.Getenv(role); base != "" {
		l := launcher.Launcher{Dir: runtimedir.Dir(base), Ready: readiness.ReadyLine{}, Command: command}
		if _, err := l.Launch(context.Background(), launcher.Spec{Name: "alice", StdinOpen: true}); err != nil {
			t.Fatal(err)
		}
		syscall.Kill(os.Getpid(), syscall.SIGKILL)
	}
	r := newRig(t)
	r.L.Ready, r.L.Command = readiness.ReadyLine{}, command
	c := exec.Command(os.Args[0], "-test.run=^TestStdinOpenOutlivesLauncher$")
	c.Env = append(os.Environ(), role+"="+r.Base)
	if out, err := c.CombinedOutput(); err == nil || err.Error() != "signal: killed" {
		t.Fatalf("%v\n%s", err, out)
	}
	pod, err := r.L.Attach(t.Context(), "alice")
	if err != nil {
		t.Fatal(err)
	}
	isBlockedIn(t, pod.PID(), "cat")
	neverEnds(t, pod.PID())
	podrig.MustLive(t, pod)
	mustStop(t, pod)
}

// A file is the pod's stdin, and stays the caller's.
func TestStdin(t *testing.T) {
	file := filepath.Join(t.TempDir(), "stdin")
	if err := os.WriteFile(file, []byte("one\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	regular, err := os.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	defer regular.Close()
	pipe, in, err := os.Pipe() // which package os has not block
	if err != nil {
		t.Fatal(err)
	}
	defer pipe.Close()
	defer in.Close()
	if _, err := in.WriteString("one\n"); err != nil {
		t.Fatal(err)
	}
	for name, f := range map[string]*os.File{"a file": regular, "a pipe": pipe} {
		t.Run(name, func(t *testing.T) {
			r := stdinRig(t, `read line; test "$line" = one || exit 3; printf "$r" >&2; exec sleep 1000`)
			pod := r.Launch(launcher.Spec{Name: "alice", Stdin: f})
			if _, err := f.Stat(); err != nil {
				t.Error(err)
			}
			var flags int
			for line := range strings.Lines(procFile(t, pod.PID(), "fdinfo/0")) {
				fmt.Sscanf(line, "flags: %o", &flags)
			}
			if flags&syscall.O_NONBLOCK != 0 {
				t.Errorf("its stdin has the flags %#o, and does not block", flags)
			}
			mustStop(t, pod)
		})
	}
}

// W11: the error of a pod that exits with 0, and had no stdin, says what may be why. No
// other one does.
func TestStdinNote(t *testing.T) {
	leaktest.Parallel(t)
	null, err := os.Open(os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	defer null.Close()
	const note = "some programs exit when their stdin ends (Spec.Stdin, Spec.StdinOpen)"
	for name, c := range map[string]struct {
		script string
		spec   launcher.Spec
		noted  bool
	}{
		"cat":       {"exec cat", launcher.Spec{}, true},
		"status 1":  {"exit 1", launcher.Spec{}, false},
		"a signal":  {"kill -KILL $$", launcher.Spec{}, false},
		"a file":    {"exec cat", launcher.Spec{Stdin: null}, false},
		"open":      {"exit 0", launcher.Spec{StdinOpen: true}, false},
		"own words": {`printf 'INSOMNIA-FAIL\talice\tno disk\n' >&2; exit 0`, launcher.Spec{}, false},
	} {
		t.Run(name, func(t *testing.T) {
			r := stdinRig(t, c.script)
			c.spec.Name = "alice"
			e := r.Fail(t.Context(), c.spec)
			if noted := strings.Contains(e.Error(), note); noted != c.noted {
				t.Errorf("a note about stdin: %v, want %v: %v", noted, c.noted, e)
			}
		})
	}
}

// A stdin that cannot be handed over is refused before anything is touched.
func TestStdinRefused(t *testing.T) {
	f, err := os.Open(os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	closed, err := os.Open(os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	closed.Close()
	for says, spec := range map[string]launcher.Spec{
		"Stdin and StdinOpen are both set": {Name: "alice", Stdin: f, StdinOpen: true},
		"Stdin is closed":                  {Name: "alice", Stdin: closed},
	} {
		r := newRig(t, podrig.Serve...)
		e := r.Fail(t.Context(), spec)
		podrig.MustBe(t, e, launcher.ErrInvalidSpec)
		podrig.MustSay(t, e, says)
	}
}
