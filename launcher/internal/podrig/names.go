//go:build linux

package podrig

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/podlaunch/podlaunch/launcher"
)

// Alice is the pod that most tests are about.
var Alice = launcher.Spec{Name: "alice"}

// Impatient returns a second launcher of the same pods, with a deadline that it
// is meant to run into while it waits for the name: it has longer than [Short], so
// that it gets there.
func (r *Rig) Impatient() *launcher.Launcher {
	l := r.L
	l.Timeout = time.Second
	return &l
}

// Beside is the path of a file that the launcher keeps for the pod called name:
// its suffix is .launch, .pod or .json.
func (r *Rig) Beside(name, suffix string) string { return filepath.Join(r.Base, "."+name+suffix) }

// Lock takes a lock of alice, past the package. It is given back when the test
// is over, or the file is closed.
func (r *Rig) Lock(suffix string) (*os.File, error) {
	r.T.Helper()
	f, err := os.OpenFile(r.Beside("alice", suffix), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		r.T.Fatal(err)
	}
	r.T.Cleanup(func() { f.Close() })
	return f, unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
}

// EditRecord changes what the record of alice says.
func (r *Rig) EditRecord(edit func(record map[string]any)) {
	r.T.Helper()
	r.EditRecordOf("alice", "alice", edit)
}

// EditRecordOf makes the record of one pod that of another, and changes it.
func (r *Rig) EditRecordOf(from, to string, edit func(record map[string]any)) {
	r.T.Helper()
	data, err := os.ReadFile(r.Beside(from, ".json"))
	if err != nil {
		r.T.Fatal(err)
	}
	var record map[string]any
	decoder := json.NewDecoder(bytes.NewReader(data))
	decoder.UseNumber()
	for decoder.More() { // each adds to what the earlier ones say
		if err := decoder.Decode(&record); err != nil {
			r.T.Fatal(err)
		}
	}
	edit(record)
	if data, err = json.Marshal(record); err != nil {
		r.T.Fatal(err)
	}
	if err := os.WriteFile(r.Beside(to, ".json"), data, 0o600); err != nil {
		r.T.Fatal(err)
	}
}

// MustRefuse fails the test unless l does not launch alice, for all reasons, in
// the stage of the name, and leaves nothing of its own.
func (r *Rig) MustRefuse(ctx context.Context, l *launcher.Launcher, reasons ...error) *launcher.Error {
	r.T.Helper()
	pod, err := l.Launch(ctx, Alice)
	var e *launcher.Error
	if !errors.As(err, &e) {
		r.T.Fatalf("Launch returned %v, %v", pod, err)
	}
	MustBe(r.T, e, reasons...)
	if e.Stage != launcher.StageOwn || e.Leftover != nil {
		r.T.Errorf("%+v", e)
	}
	return e
}

// MustAttach attaches to alice, which must be want, until the test is over.
func (r *Rig) MustAttach(want *launcher.Pod) *launcher.Pod {
	r.T.Helper()
	pod, err := r.L.Attach(r.T.Context(), "alice")
	if err != nil {
		r.T.Fatal(err)
	}
	r.T.Cleanup(pod.Release)
	if pod.PID() != want.PID() || pod.Endpoint() != want.Endpoint() || pod.LogPath() != want.LogPath() ||
		pod.RuntimeDir() != want.RuntimeDir() || pod.Name() != want.Name() {
		r.T.Errorf("attached to %d at %v, want %d at %v", pod.PID(), pod.Endpoint(), want.PID(), want.Endpoint())
	}
	return pod
}

// MustLive fails the test if the pod has ended.
func MustLive(t *testing.T, pod *launcher.Pod) {
	t.Helper()
	now, cancel := context.WithCancel(context.Background())
	cancel()
	if exit, err := pod.Wait(now); err == nil {
		t.Errorf("pid %d has ended: %v", pod.PID(), exit)
	}
	if err := syscall.Kill(pod.PID(), 0); err != nil {
		t.Errorf("pid %d: %v", pod.PID(), err)
	}
}

// MustEndBy waits until the pod has ended, by sig.
func MustEndBy(t *testing.T, pod *launcher.Pod, sig syscall.Signal) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), Ample)
	defer cancel()
	// Some kernels do not say how a process ended, except to its parent.
	if exit, err := pod.Wait(ctx); err != nil || exit.Known && exit.Signal != sig {
		t.Errorf("Wait returned %v, %v, want %v", exit, err, sig)
	}
}

// State is what List says of alice; empty if it does not.
func (r *Rig) State() launcher.State {
	r.T.Helper()
	for s, err := range r.L.List(r.T.Context()) {
		if err != nil {
			r.T.Fatal(err)
		}
		if s.Name == "alice" {
			return s.State
		}
	}
	return ""
}

// LaunchOnceFree launches a pod as soon as those whom an earlier one has left behind
// have ended by themselves.
func LaunchOnceFree(ctx context.Context, l *launcher.Launcher, spec launcher.Spec) (*launcher.Pod, error) {
	for {
		pod, err := l.Launch(ctx, spec)
		if !errors.Is(err, launcher.ErrHeld) || ctx.Err() != nil {
			return pod, err
		}
	}
}

// RelaunchOnceFree is Relaunch, as soon as LaunchOnceFree can.
func (r *Rig) RelaunchOnceFree(name string) {
	r.T.Helper()
	l := r.L
	l.Command = Script(Serve...)
	l.Timeout = Ample
	pod, err := LaunchOnceFree(r.T.Context(), &l, launcher.Spec{Name: name})
	if err == nil {
		err = pod.Stop(r.T.Context())
	}
	if err != nil {
		r.T.Errorf("relaunch %s: %v", name, err)
	}
}

// Kill sends SIGKILL to the first process of a pod, and waits until that is gone.
func Kill(t *testing.T, pod *launcher.Pod) {
	t.Helper()
	if err := unix.Kill(pod.PID(), unix.SIGKILL); err != nil {
		t.Fatal(err)
	}
	<-pod.Done()
}
