//go:build linux

package launcher_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/sys/unix"

	"github.com/podlaunch/podlaunch/launcher"
	"github.com/podlaunch/podlaunch/launcher/internal/leaktest"
	"github.com/podlaunch/podlaunch/launcher/internal/podrig"
	"github.com/podlaunch/podlaunch/readiness"
	"github.com/podlaunch/podlaunch/runtimedir"
)

// C21: a launch whose process cannot be killed returns soon after its deadline,
// and names the process and why.
func c21(t *testing.T) {
	t.Run("not permitted", func(t *testing.T) { synctest.Test(t, c21Refused) })
	t.Run("has become root", c21Root)
}

// c21Refused is for machines where nobody can become root: every signal is
// refused.
func c21Refused(t *testing.T) {
	f := newFake(t)
	f.l.Starter = fakeStarter{deafProcess{f.proc}}
	f.l.Ready = readiness.ReadyLine{}
	_, err := f.l.Launch(t.Context(), launcher.Spec{Name: "alice"})
	var e *launcher.Error
	if !errors.As(err, &e) {
		t.Fatalf("Launch returned %v, want a *launcher.Error", err)
	}
	podrig.MustBe(t, e, launcher.ErrTimeout, syscall.EPERM)
	podrig.MustSay(t, e, "NOT CLEARED", "may still be running", "operation not permitted")
	if !errors.Is(e.Leftover, syscall.EPERM) {
		t.Errorf("what is left: %v", e.Leftover)
	}
	if after := e.Elapsed - f.l.Timeout; after > podrig.Late {
		t.Errorf("Launch returned %v after its deadline", after)
	}
	f.proc.end(exited(0)) // in the end it does go, and is reaped
	synctest.Wait()
}

// A deafProcess may not be signalled.
type deafProcess struct{ *fakeProcess }

func (deafProcess) Signal(context.Context, os.Signal) error { return syscall.EPERM }

// A c21Report is what the unprivileged launcher of c21Root tells.
type c21Report struct {
	PID                              int
	Canceled, NotPermitted, Leftover bool
	After                            time.Duration // the end of its context
	Message                          string
}

// c21Root has a launcher without privileges launch a pod that becomes root, by
// way of its set-user-ID bit, and can then not be signalled any more.
func c21Root(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root can make a program that becomes root")
	}
	dir, err := os.MkdirTemp("", "c21")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	if reason := noSetuid(t, dir); reason != "" {
		t.Skip("no program can become root here: " + reason)
	}
	pod, run := filepath.Join(dir, "pod"), filepath.Join(dir, "run")
	leaktest.Check(t, pod)
	const nobody = 65534
	self := filepath.Join(dir, "launcher")
	podrig.CopyProgram(t, podrig.Pod, pod, os.ModeSetuid|0o755)
	podrig.CopyProgram(t, fmt.Sprintf("/proc/%d/exe", os.Getpid()), self, 0o755)
	if err := errors.Join(os.Chmod(dir, 0o755), os.Mkdir(run, 0o700), os.Chown(run, nobody, nobody)); err != nil {
		t.Fatal(err)
	}
	l := exec.Command(self)
	l.Env = []string{c21Variable + "=" + dir, "GORACE=atexit_sleep_ms=0"}
	l.Dir = "/"
	l.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: nobody, Gid: nobody}}
	var stderr strings.Builder
	l.Stderr = &stderr
	out, err := l.Output()
	var report c21Report
	if jsonErr := json.Unmarshal(out, &report); err != nil || jsonErr != nil {
		t.Fatalf("the launcher without privileges: %v, %v\n%s%s", err, jsonErr, out, &stderr)
	}
	if report.PID <= 0 {
		t.Fatalf("no pid: %+v", report)
	}
	if err := syscall.Kill(report.PID, syscall.SIGKILL); err != nil {
		t.Errorf("the pod should still be there: %v", err)
	}
	if !report.Canceled || !report.NotPermitted || !report.Leftover || report.After > podrig.Late ||
		!strings.Contains(report.Message, "NOT CLEARED") {
		t.Errorf("%+v", report)
	}
}

// c21Variable is set, to a directory, for the program that is the launcher of
// c21Root.
const c21Variable = "PODLAUNCH_TEST_C21"

func init() {
	if dir := os.Getenv(c21Variable); dir != "" {
		json.NewEncoder(os.Stdout).Encode(c21Launch(dir))
		os.Exit(0)
	}
}

// c21Launch is what the launcher of c21Root does.
func c21Launch(dir string) c21Report {
	podrig.Pod = filepath.Join(dir, "pod")
	ctx, cancel := context.WithCancel(context.Background())
	var end time.Time
	l := launcher.Launcher{
		Command: podrig.Script("setuid 0", "say done", "hang"),
		Dir:     runtimedir.Dir(filepath.Join(dir, "run")),
		Timeout: podrig.Ample,
	}
	_, err := l.Launch(ctx, launcher.Spec{Name: "alice", Progress: func(string) { end = time.Now(); cancel() }})
	var e *launcher.Error
	if !errors.As(err, &e) {
		return c21Report{Message: "no *launcher.Error"}
	}
	return c21Report{
		PID:          e.PID,
		Canceled:     errors.Is(e, context.Canceled),
		NotPermitted: errors.Is(e, syscall.EPERM),
		Leftover:     e.Leftover != nil,
		After:        time.Since(end),
		Message:      e.Error(),
	}
}

// noSetuid says why the set-user-ID bit of a program in dir means nothing, or
// "" if it does mean something.
func noSetuid(t *testing.T, dir string) string {
	t.Helper()
	var fs unix.Statfs_t
	if err := unix.Statfs(dir, &fs); err != nil {
		t.Fatal(err)
	}
	noNewPrivileges, err := unix.PrctlRetInt(unix.PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0)
	if err != nil {
		t.Fatal(err)
	}
	switch {
	case fs.Flags&unix.ST_NOSUID != 0:
		return "the temporary directory is mounted nosuid"
	case noNewPrivileges != 0:
		return "this process has no_new_privs set"
	}
	return ""
}
