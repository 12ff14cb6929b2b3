package winetest_test

import (
	"bufio"
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/podlaunch/podlaunch/launcher"
)

// launch launches a pod called alice, which is ended with the test.
func launch(t *testing.T, l *launcher.Launcher, args ...string) *launcher.Pod {
	t.Helper()
	pod, err := l.Launch(t.Context(), launcher.Spec{Name: "alice", Args: args, Overlay: `name = "alice" \`})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := pod.Kill(context.Background()); err != nil {
			t.Error(err)
		}
	})
	return pod
}

// ask returns what the pod answers.
func ask(t *testing.T, pod *launcher.Pod) string {
	t.Helper()
	conn, err := pod.Dial(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	answer, err := io.ReadAll(conn)
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(string(answer))
}

// stop stops the pod, and returns how it ended.
func stop(t *testing.T, pod *launcher.Pod) launcher.Exit {
	t.Helper()
	if err := pod.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	exit, err := pod.Wait(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return exit
}

// A pod is launched, answers, ends, and is launched again.
func TestLife(t *testing.T) {
	l := newLauncher(t.TempDir())
	for range 2 {
		pod := launch(t, l)
		if got, want := ask(t, pod), `name = "alice" \`; got != want {
			t.Errorf("it answers %q, want %q", got, want)
		}
		if exit := stop(t, pod); exit.Code != codeInterrupt {
			t.Errorf("it ended with %v", exit)
		}
		text, err := os.ReadFile(pod.LogPath())
		if err != nil || !strings.HasPrefix(string(text), "my name is alice\n") || !strings.HasSuffix(string(text), "bye\n") {
			t.Errorf("its log is %q, %v", text, err)
		}
		awaitOthers(t, 0)
	}
}

// The overlay gets to the pod in a file, too, which is gone afterwards.
func TestOverlay(t *testing.T) {
	base := t.TempDir()
	l := newLauncher(base)
	l.OverlayTransport = launcher.OverlayAsFile
	pod := launch(t, l)
	if got, want := ask(t, pod), `name = "alice" \`; got != want {
		t.Errorf("it answers %q, want %q", got, want)
	}
	if _, err := os.Stat(filepath.Join(base, ".alice.overlay")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the file of the overlay: %v", err)
	}
	l.OverlayTransport = launcher.OverlayAsDescriptor
	_, err := l.Launch(t.Context(), launcher.Spec{Name: "bob", Overlay: "x"})
	mustFail(t, err, errors.ErrUnsupported, launcher.ErrInvalidSpec)
}

// mustFail makes sure that err is all of them.
func mustFail(t *testing.T, err error, want ...error) {
	t.Helper()
	for _, w := range want {
		if !errors.Is(err, w) {
			t.Errorf("the error is %v, want %v", err, w)
		}
	}
	if err != nil {
		t.Log(err)
	}
}

// There is one pod of a name: a second launch fails, Ensure and Attach return it, List has
// it, and Launcher.Stop ends it.
func TestOneName(t *testing.T) {
	base := t.TempDir()
	l := newLauncher(base)
	pod := launch(t, l)
	_, err := l.Launch(t.Context(), launcher.Spec{Name: "alice"})
	mustFail(t, err, launcher.ErrRunning)
	same, launched, err := l.Ensure(t.Context(), launcher.Spec{Name: "alice"})
	if err != nil || launched || same.PID() != pod.PID() {
		t.Fatalf("Ensure returned %v, %v, %v", same, launched, err)
	}
	defer same.Release()
	attached, err := newLauncher(base).Attach(t.Context(), "alice")
	if err != nil || attached.PID() != pod.PID() {
		t.Fatalf("Attach returned %v, %v", attached, err)
	}
	defer attached.Release()
	listed := 0
	for status, err := range l.List(t.Context()) {
		if listed++; err != nil || status.Name != "alice" || status.State != launcher.StateReady || status.PID != pod.PID() {
			t.Errorf("List has %+v, %v", status, err)
		}
	}
	if listed != 1 {
		t.Errorf("List has %d pods", listed)
	}
	if err := l.Stop(t.Context(), "alice"); err != nil {
		t.Error(err)
	}
	if _, err := l.Attach(t.Context(), "alice"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("Attach afterwards: %v", err)
	}
	if exit, err := pod.Wait(t.Context()); err != nil || exit.Code != codeInterrupt {
		t.Errorf("it ended with %v, %v", exit, err)
	}
	if err := l.Remove(t.Context(), "alice"); err != nil {
		t.Error(err)
	}
	if entries, err := os.ReadDir(base); err != nil || len(entries) > 0 {
		t.Errorf("Remove leaves %v, %v", entries, err)
	}
}

// Another program launches the pod, and ends. This one attaches, reads on, and stops it.
func TestAttachFromAnother(t *testing.T) {
	base := t.TempDir()
	other := startLauncher(t, base, "-children=2")
	if line := other.line(); !strings.HasPrefix(line, "pid ") {
		t.Fatal(line)
	}
	other.end()
	if err := other.Wait(); err != nil {
		t.Fatal(err)
	}
	pod, err := newLauncher(base).Attach(t.Context(), "alice")
	if err != nil {
		t.Fatal(err)
	}
	awaitOthers(t, 3)
	r, err := pod.Follow(t.Context(), true)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	lines := bufio.NewScanner(r)
	if !lines.Scan() || lines.Text() != "my name is alice" {
		t.Errorf("its log begins with %q, %v", lines.Text(), lines.Err())
	}
	// The others ignore CTRL_C.
	pod2, err := (&launcher.Launcher{Dir: newLauncher(base).Dir, Grace: 3 * time.Second}).Attach(t.Context(), "alice")
	if err != nil {
		t.Fatal(err)
	}
	if exit := stop(t, pod2); exit.Code != codeInterrupt {
		t.Errorf("it ended with %v", exit)
	}
	awaitOthers(t, 0)
	var last string
	for lines.Scan() {
		last = lines.Text()
	}
	if last != "bye" {
		t.Errorf("its log ends with %q, %v", last, lines.Err())
	}
	<-pod.Done()
}

// A pod that knows its event ends by that, and any other by CTRL_C. A pod that ignores both is
// killed after its grace, with all that has come of it.
func TestStop(t *testing.T) {
	for _, c := range []struct {
		how   string
		grace time.Duration
		want  launcher.Exit
	}{
		{"event", 10 * time.Second, launcher.Exit{Code: codeEvent, Known: true}},
		{"interrupt", 10 * time.Second, launcher.Exit{Code: codeInterrupt, Known: true}},
		{"ignore", 500 * time.Millisecond, launcher.Exit{Signal: syscall.SIGKILL, Known: true}},
	} {
		t.Run(c.how, func(t *testing.T) {
			l := newLauncher(t.TempDir())
			l.Grace = c.grace
			args := []string{"-stop=" + c.how}
			if c.how == "ignore" {
				args = append(args, "-children=2")
			}
			pod := launch(t, l, args...)
			began := time.Now()
			if exit := stop(t, pod); exit != c.want {
				t.Errorf("it ended with %+v, want %+v", exit, c.want)
			}
			if took := time.Since(began); c.how == "ignore" && took < c.grace || took > 8*time.Second {
				t.Errorf("that took %v", took)
			}
			awaitOthers(t, 0)
		})
	}
}

// A pod whose first process has ended by itself has left others, which Stop ends.
func TestStopOfTheRest(t *testing.T) {
	l := newLauncher(t.TempDir())
	l.Grace = 100 * time.Millisecond
	pod := launch(t, l, "-mode=leave", "-children=2")
	<-pod.Done()
	awaitOthers(t, 2)
	if err := pod.Stop(t.Context()); err != nil {
		t.Error(err)
	}
	awaitOthers(t, 0)
}

// Signal sends what there is, and says of the rest that there is no such thing.
func TestSignal(t *testing.T) {
	pod := launch(t, newLauncher(t.TempDir()))
	mustFail(t, pod.Signal(t.Context(), syscall.SIGHUP), errors.ErrUnsupported)
	if err := pod.Signal(t.Context(), os.Interrupt); err != nil {
		t.Error(err)
	}
	if exit, err := pod.Wait(t.Context()); err != nil || exit.Code != codeInterrupt {
		t.Errorf("it ended with %v, %v", exit, err)
	}
	mustFail(t, pod.Signal(t.Context(), os.Interrupt), os.ErrProcessDone)
}

// A context ends the pod.
func TestStopWith(t *testing.T) {
	pod := launch(t, newLauncher(t.TempDir()))
	ctx, cancel := context.WithCancel(t.Context())
	pod.StopWith(ctx)
	cancel()
	if exit, err := pod.Wait(t.Context()); err != nil || exit.Code != codeInterrupt {
		t.Errorf("it ended with %v, %v", exit, err)
	}
}

// A pod that ends early, or is not ready in time, or whose program there is not, is an error
// that says what was seen of it, and leaves nobody.
func TestFails(t *testing.T) {
	l := newLauncher(t.TempDir())
	_, err := l.Launch(t.Context(), launcher.Spec{Name: "alice", Args: []string{"-mode=fail", "-children=2"}})
	mustFail(t, err, launcher.ErrExitedEarly)
	var e *launcher.Error
	if !errors.As(err, &e) || e.Exit == nil || e.Exit.Code != codeFailed || strings.Join(e.Tail, "\n") != "my name is alice\nfatal: the database is locked" {
		t.Errorf("its evidence is %+v", e)
	}
	awaitOthers(t, 0)

	l.Timeout = time.Second
	_, err = l.Launch(t.Context(), launcher.Spec{Name: "alice", Args: []string{"-mode=hang", "-children=2"}})
	mustFail(t, err, launcher.ErrTimeout)
	awaitOthers(t, 0)

	l.Command = launcher.Path(filepath.Join(t.TempDir(), "none"))
	_, err = l.Launch(t.Context(), launcher.Spec{Name: "alice"})
	mustFail(t, err, fs.ErrNotExist, exec.ErrNotFound)

	l = newLauncher(t.TempDir())
	_, err = l.Launch(t.Context(), launcher.Spec{Name: "alice", StopSignal: syscall.SIGHUP})
	mustFail(t, err, errors.ErrUnsupported, launcher.ErrInvalidSpec)
	_, err = l.Launch(t.Context(), launcher.Spec{Name: "alice", Files: []*os.File{os.Stdin}})
	mustFail(t, err, errors.ErrUnsupported, launcher.ErrInvalidSpec)
	launch(t, l) // the name is free
}
