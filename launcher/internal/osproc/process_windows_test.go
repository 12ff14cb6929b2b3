package osproc_test

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
	"unsafe"

	"github.com/google/uuid"
	"golang.org/x/sys/windows"

	"github.com/podlaunch/podlaunch/launcher/internal/osproc"
)

var ctx = context.Background()

// A child gets its arguments as they are.
func TestArguments(t *testing.T) {
	args := []string{"", `\`, `a\`, `a b\`, `"`, `\"`, `a "b" c`, "tab\there", "new\nline", "grüße €", "%PATH%", "^&|<>", " "}
	c := child("arguments", nil)
	c.Args = args
	r := start(t, c)
	var got []string
	if err := json.Unmarshal([]byte(r.line(t)), &got); err != nil {
		t.Fatal(err)
	}
	if len(got) == 0 || !slices.Equal(got[1:], args) {
		t.Errorf("it got %q, want %q", got, args)
	}
	c.Arg0 = "another name"
	r.wait(t)
	r = start(t, c)
	if err := json.Unmarshal([]byte(r.line(t)), &got); err != nil || got[0] != c.Arg0 {
		t.Errorf("it got %q, %v, want %q first", got, err, c.Arg0)
	}
	r.wait(t)
}

// A child gets the variables that it is given, in any script.
func TestEnvironment(t *testing.T) {
	c := child("arguments", nil)
	c.Env = append(c.Env, "A=1", "a=2", "ÜBER=grüße €", "EMPTY=")
	r := start(t, c)
	r.line(t)
	r.wait(t)
	c.Env = append(c.Env, "NUL=a\x00b")
	if _, err := osproc.Prepare(c); err == nil {
		t.Error("a variable with a NUL is taken")
	}
}

// Only the handles of its files go to a child.
func TestHandles(t *testing.T) {
	open := func() *os.File {
		f, err := os.Create(filepath.Join(t.TempDir(), "file"))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { f.Close() })
		return f
	}
	secret := open()
	// Also if it is open to inherit.
	if err := windows.SetHandleInformation(windows.Handle(secret.Fd()), windows.HANDLE_FLAG_INHERIT, windows.HANDLE_FLAG_INHERIT); err != nil {
		t.Fatal(err)
	}
	c := child(fmt.Sprintf("handles %d %d", secret.Fd(), windows.Handle(^uintptr(11)+1)), nil)
	c.Files = append(c.Files, nil, open())
	r := start(t, c)
	if got, want := r.line(t), fmt.Sprintf("%d false", secret.Fd()); got != want {
		t.Errorf("%s, want %s", got, want)
	}
	r.wait(t)
}

// A child has the exit code that it ends with, also if the system uses that for itself.
func TestExitCodes(t *testing.T) {
	for _, code := range []uint32{0, 1, 255, 259, 0xC000013A, 0xFFFFFFFF} {
		r := start(t, child(fmt.Sprintf("exit %d", code), nil))
		if got := r.wait(t); got != (osproc.Exit{Code: int(code), Known: true}) {
			t.Errorf("%#x: it ended with %+v", code, got)
		}
	}
}

// What cannot be started is an error that says what is wrong, and leaves nothing.
func TestStartFails(t *testing.T) {
	text := filepath.Join(t.TempDir(), "text.exe")
	if err := os.WriteFile(text, []byte("this is no program"), 0o700); err != nil {
		t.Fatal(err)
	}
	self := child("exit 0", nil)
	for name, c := range map[string]struct {
		command osproc.Command
		want    error
	}{
		"no file":      {osproc.Command{Path: filepath.Join(t.TempDir(), "none.exe")}, fs.ErrNotExist},
		"no program":   {osproc.Command{Path: text}, windows.ERROR_BAD_EXE_FORMAT},
		"no directory": {osproc.Command{Path: self.Path, Env: self.Env, Dir: filepath.Join(t.TempDir(), "none")}, nil},
		"its own id":   {osproc.Command{Path: self.Path, PIDEnv: []string{"PID"}}, errors.ErrUnsupported},
		"a batch file": {osproc.Command{Path: `C:\x.bat`, Args: []string{`" & calc`}}, syscall.EINVAL},
		"a NUL":        {osproc.Command{Path: self.Path, Args: []string{"a\x00b"}}, syscall.EINVAL},
	} {
		p, err := osproc.Start(ctx, c.command)
		if err == nil {
			t.Errorf("%s: process %d was started", name, p.PID())
			continue
		}
		t.Logf("%s: %v", name, err)
		if c.want != nil && !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", name, err, c.want)
		}
	}
}

// mark returns a mark of its own.
func mark() string { return "POD_LAUNCH_ID=" + uuid.NewString() }

// awaitGone waits until none of them is there.
func awaitGone(t *testing.T, ids []osproc.Identity) {
	t.Helper()
	for end := time.Now().Add(10 * time.Second); ; time.Sleep(time.Millisecond) {
		left := slices.DeleteFunc(slices.Clone(ids), func(id osproc.Identity) bool { return osproc.ProvesEnd(id.Check()) })
		if len(left) == 0 {
			return
		}
		if time.Now().After(end) {
			t.Fatalf("%v are still there", left)
		}
	}
}

// SIGKILL ends three generations, and the first one's exit says so.
func TestKillTree(t *testing.T) {
	c := child("tree 2", nil)
	c.Mark = mark()
	r := start(t, c)
	ids := r.identities(t, 3, false)
	f := osproc.NewFamily(ids[0], c.Mark)
	left, err := f.Left(ctx, true)
	if err != nil || len(left) != 3 {
		t.Errorf("its family is %v, %v", left, err)
	}
	if err := r.Signal(ctx, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	if exit := r.wait(t); exit != (osproc.Exit{Signal: syscall.SIGKILL, Known: true}) {
		t.Errorf("it ended with %+v", exit)
	}
	awaitGone(t, ids)
	if left, err := f.Left(ctx, false); err != nil || len(left) > 0 {
		t.Errorf("its family is %v, %v", left, err)
	}
	if err := r.Signal(ctx, syscall.SIGKILL); !errors.Is(err, os.ErrProcessDone) {
		t.Errorf("a second SIGKILL: %v", err)
	}
}

// SIGKILL for the first one leaves the others, which can be found and ended after Reap.
func TestKillFirst(t *testing.T) {
	c := child("tree 2", nil)
	c.Mark = mark()
	r := start(t, c)
	ids := r.identities(t, 3, false)
	if err := errors.Join(r.Share(), r.Last(), r.SignalFirst(ctx, syscall.SIGKILL)); err != nil {
		t.Fatal(err)
	}
	if exit := r.wait(t); exit.Signal != syscall.SIGKILL {
		t.Errorf("it ended with %+v", exit)
	}
	f := osproc.NewFamily(ids[0], c.Mark)
	if left, err := f.Left(ctx, false); err != nil || len(left) != 2 {
		t.Errorf("its family is %v, %v", left, err)
	}
	if ended, err := f.Kill(ctx, false); err != nil || len(ended) != 2 {
		t.Errorf("Kill returned %v, %v", ended, err)
	}
	awaitGone(t, ids)
}

// Without a job the tree of the process is its family.
func TestTreeWithoutJob(t *testing.T) {
	r := start(t, child("tree 2", nil))
	ids := r.identities(t, 3, false)
	left, err := osproc.NewFamily(ids[0], "").Left(ctx, true)
	if err != nil {
		t.Error(err)
	}
	for _, id := range ids { // there may be the host of their console, too
		if !slices.Contains(left, id) {
			t.Errorf("%d is not in its family, %v", id.PID, left)
		}
	}
	if err := osproc.KillGroup(ids[0]); err != nil {
		t.Error(err)
	}
	r.wait(t)
	awaitGone(t, ids)
}

// A launcher that is killed takes along what it is launching, and leaves what is to last.
func TestLauncherKilled(t *testing.T) {
	for _, last := range []bool{false, true} {
		id := uuid.NewString()
		verb := "launch " + id
		if last {
			verb += " last"
		}
		launcher := start(t, child(verb, nil))
		ids := launcher.identities(t, 3, true)
		m := "POD_LAUNCH_ID=" + id
		if err := kill(launcher.PID()); err != nil {
			t.Fatal(err)
		}
		launcher.wait(t)
		if !last {
			awaitGone(t, ids)
			continue
		}
		for _, id := range ids {
			if err := id.Check(); err != nil {
				t.Errorf("process %d: %v", id.PID, err)
			}
		}
		adopted, err := osproc.Adopt(ids[0])
		if err != nil {
			t.Fatal(err)
		}
		if err := adopted.Know(m, true); err != nil {
			t.Error(err)
		}
		if err := adopted.Signal(ctx, syscall.SIGKILL); err != nil {
			t.Error(err)
		}
		if exit := (&running{Process: adopted}).wait(t); exit.Signal != syscall.SIGKILL {
			t.Errorf("it ended with %+v", exit)
		}
		awaitGone(t, ids)
	}
}

// breakableJob returns a job that a child may leave.
func breakableJob(t *testing.T) windows.Handle {
	t.Helper()
	job, err := windows.CreateJobObject(nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	var limits windows.JOBOBJECT_EXTENDED_LIMIT_INFORMATION
	limits.BasicLimitInformation.LimitFlags = windows.JOB_OBJECT_LIMIT_KILL_ON_JOB_CLOSE | windows.JOB_OBJECT_LIMIT_BREAKAWAY_OK
	_, err = windows.SetInformationJobObject(job, windows.JobObjectExtendedLimitInformation, uintptr(unsafe.Pointer(&limits)), uint32(unsafe.Sizeof(limits)))
	if err != nil {
		t.Fatal(err)
	}
	return job
}

// What is to last leaves the job of its launcher, if that allows it.
func TestBreakAway(t *testing.T) {
	job := breakableJob(t)
	id := uuid.NewString()
	cmd := exec.Command(os.Args[0]) // in no job of ours
	cmd.Env = append(os.Environ(), verbVariable+"=outer "+id)
	w, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	h, err := windows.OpenProcess(windows.PROCESS_SET_QUOTA|windows.PROCESS_TERMINATE, false, uint32(cmd.Process.Pid))
	if err != nil {
		t.Fatal(err)
	}
	defer windows.CloseHandle(h)
	if err := windows.AssignProcessToJobObject(job, h); err != nil {
		t.Fatal(err)
	}
	w.Close() // it goes on
	ids := (&running{lines: bufio.NewScanner(stdout)}).identities(t, 3, true)
	m := "POD_LAUNCH_ID=" + id
	if err := windows.TerminateJobObject(job, 1); err != nil {
		t.Fatal(err)
	}
	windows.CloseHandle(job)
	cmd.Wait()
	for _, id := range ids {
		if err := id.Check(); err != nil {
			t.Errorf("process %d: %v", id.PID, err)
		}
	}
	if ended, err := osproc.NewFamily(ids[0], m).Kill(ctx, false); err != nil || len(ended) != 3 {
		t.Errorf("Kill returned %v, %v", ended, err)
	}
	awaitGone(t, ids)
}

// kill ends a process alone.
func kill(pid int) error {
	h, err := windows.OpenProcess(windows.PROCESS_TERMINATE, false, uint32(pid))
	if err != nil {
		return err
	}
	defer windows.CloseHandle(h)
	return windows.TerminateProcess(h, 1)
}

// A process that is asked to end gets its event if it has made that, and else CTRL_C.
func TestAsk(t *testing.T) {
	for _, c := range []struct {
		verb string
		sig  syscall.Signal
		code int
	}{
		{"event", syscall.SIGTERM, 21},
		{"interrupt", syscall.SIGTERM, 22},
		{"interrupt", syscall.SIGINT, 22},
	} {
		command := child(c.verb, nil)
		command.Mark = mark()
		r := start(t, command)
		if got := r.line(t); !strings.HasPrefix(got, "ready") {
			t.Fatal(got)
		}
		if err := r.Signal(ctx, c.sig); err != nil {
			t.Error(err)
		}
		if exit := r.wait(t); exit.Code != c.code {
			t.Errorf("%s, %v: it ended with %+v", c.verb, c.sig, exit)
		}
	}
	r := start(t, child("ignore", nil))
	r.line(t)
	if err := r.Signal(ctx, syscall.SIGHUP); !errors.Is(err, errors.ErrUnsupported) {
		t.Errorf("SIGHUP: %v", err)
	}
	if err := r.Signal(ctx, syscall.SIGKILL); err != nil {
		t.Error(err)
	}
	r.wait(t)
}

// An Identity is of one process. Its number with another creation time is a stranger's, who
// is neither adopted nor ended. A process that has ended is gone, although there is a handle.
func TestIdentity(t *testing.T) {
	r := start(t, child("ignore", nil))
	r.line(t)
	id, err := osproc.Identify(r.PID())
	if err != nil {
		t.Fatal(err)
	}
	stranger := id
	stranger.Start--
	if err := stranger.Check(); !errors.Is(err, osproc.ErrStranger) {
		t.Errorf("Check: %v", err)
	}
	if _, err := osproc.Adopt(stranger); !errors.Is(err, osproc.ErrStranger) {
		t.Errorf("Adopt: %v", err)
	}
	for _, f := range []func(osproc.Identity) error{osproc.Kill, osproc.KillGroup} {
		if err := f(stranger); !errors.Is(err, osproc.ErrStranger) {
			t.Errorf("Kill: %v", err)
		}
	}
	if err := id.Check(); err != nil {
		t.Errorf("it is not there any more: %v", err)
	}
	if name := osproc.CommandName(id.PID); !strings.HasSuffix(name, ".exe") {
		t.Errorf("it is called %q", name)
	}
	if err := osproc.Kill(id); err != nil {
		t.Error(err)
	}
	if _, err := r.Wait(ctx); err != nil {
		t.Error(err)
	}
	if err := id.Check(); !errors.Is(err, osproc.ErrGone) {
		t.Errorf("Check of one that has ended: %v", err)
	}
	r.wait(t)
}

// Wait with a context that is done just looks.
func TestWaitLooks(t *testing.T) {
	r := start(t, child("ignore", nil))
	r.line(t)
	done, cancel := context.WithCancel(ctx)
	cancel()
	if _, err := r.Wait(done); !errors.Is(err, context.Canceled) {
		t.Errorf("Wait: %v", err)
	}
	if err := r.Signal(ctx, syscall.SIGKILL); err != nil {
		t.Error(err)
	}
	r.wait(t)
	if _, err := r.Wait(done); err != nil {
		t.Errorf("Wait of one that has ended: %v", err)
	}
}
