// Package exampletest runs an example as a user would, and finds what it has
// left behind.
package exampletest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
)

// patience is a guard against an example that hangs.
const patience = time.Minute

// Build builds the program in the directory dir and returns the path of the
// binary, which is called as go build would call it. It is copied from the build
// cache, where go run keeps what it has linked: go build would link it each time.
func Build(t *testing.T, dir string) string {
	t.Helper()
	abs, err := filepath.Abs(dir)
	if err != nil {
		t.Fatal(err)
	}
	bin := filepath.Join(t.TempDir(), filepath.Base(abs))
	build := exec.Command("go", "run", "-exec", "cp", ".", bin)
	build.Dir = dir
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("go run -exec cp: %v\n%s", err, out)
	}
	return bin
}

// A Result is what a program has said.
type Result struct {
	Stdout, Stderr string
	Code           int
}

// Run runs the program bin with a HOME and a TMPDIR of its own, and with env
// in addition. When it has ended, no process that it started may run, and
// nothing may be in its TMPDIR.
func Run(t *testing.T, bin string, env []string, args ...string) Result {
	t.Helper()
	// Not t.TempDir, whose path is too long for a socket.
	home, err := os.MkdirTemp("", "home")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(home) })
	tmp := filepath.Join(home, "tmp")
	// Others may pass through, as in the real one: a daemon may have a user of
	// its own.
	if err := errors.Join(os.Chmod(home, 0o711), os.Mkdir(tmp, 0o700), os.Chmod(tmp, 0o711)); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	var stdout, stderr bytes.Buffer
	cmd := exec.CommandContext(ctx, bin, args...)
	cmd.Env = append(append(os.Environ(), "HOME="+home, "XDG_RUNTIME_DIR=", "TMPDIR="+tmp, mark(home)), env...)
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	err = cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	for _, left := range append(processes(t, home), entries(t, tmp)...) {
		t.Errorf("left behind: %s", left)
	}
	return Result{stdout.String(), stderr.String(), cmd.ProcessState.ExitCode()}
}

// Mask replaces in output what differs from run to run: times by # (of the same
// width, so that columns stay aligned), pids by PID, and by DIR the directory
// that holds the one of the pod.
func Mask(output, pod string) string {
	output = regexp.MustCompile(` *[0-9]+\.[0-9]+ ms`).ReplaceAllStringFunc(output, func(s string) string {
		const column = len("123.45 ms") // what takes longer is wider
		return fmt.Sprintf("%*s", len(s)-max(0, len(strings.TrimLeft(s, " "))-column), "# ms")
	})
	output = regexp.MustCompile(`[0-9.]+(µs|ms|s)\b`).ReplaceAllString(output, "#")
	output = regexp.MustCompile(`(?i)(pid +)[0-9]+`).ReplaceAllString(output, "${1}PID")
	return regexp.MustCompile(`/\S*/`+regexp.QuoteMeta(pod)+`\b`).ReplaceAllString(output, "DIR/"+pod)
}

// mark is a variable by which processes are known.
func mark(home string) string { return "EXAMPLETEST=" + home }

// processes lists the processes that have the mark of home in their
// environment, or home in their arguments: a program that changes its title
// overwrites the environment that the system shows.
func processes(t *testing.T, home string) (found []string) {
	t.Helper()
	dirs, err := filepath.Glob("/proc/[0-9]*")
	if err != nil || len(dirs) == 0 {
		t.Fatalf("processes cannot be listed here: %v", err)
	}
	for _, dir := range dirs {
		env, _ := os.ReadFile(dir + "/environ") // it may have gone
		args, _ := os.ReadFile(dir + "/cmdline")
		if strings.Contains(string(env), mark(home)+"\x00") || strings.Contains(string(args), home+"/") {
			found = append(found, dir+" "+strings.ReplaceAll(string(args), "\x00", " "))
		}
	}
	return found
}

// entries lists what is in dir.
func entries(t *testing.T, dir string) (found []string) {
	t.Helper()
	list, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range list {
		found = append(found, filepath.Join(dir, e.Name()))
	}
	return found
}
