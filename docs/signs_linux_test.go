package docs_test

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"syscall"
	"testing"

	"github.com/podlaunch/podlaunch/launcher"
	"github.com/podlaunch/podlaunch/readiness"
	"github.com/podlaunch/podlaunch/runtimedir"
)

// A sign is one of the pods of docs/protocol.md that do not write the ready
// line, as it is printed there.
type sign struct {
	l     launcher.Launcher
	model string // a file that the pod wants to see
}

// newSign returns the pod that is printed as fence below heading.
func newSign(t *testing.T, heading, fence string, ready readiness.Probe, build func(*testing.T, string) string) *sign {
	t.Helper()
	dir := onlyPlace(t, "HOME")
	source := filepath.Join(dir, "pod."+fence)
	if err := os.WriteFile(source, []byte(codeBlock(t, read(t, "protocol.md"), heading, fence)), 0o600); err != nil {
		t.Fatal(err)
	}
	model := filepath.Join(dir, "model")
	if err := os.WriteFile(model, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	return &sign{model: model, l: launcher.Launcher{
		Command: launcher.Exec(build(t, source)),
		Dir:     runtimedir.Dir(filepath.Join(dir, "pods")),
		Ready:   ready,
		Timeout: ample,
	}}
}

// launch launches the pod with args, and returns what it has shown as progress.
func (s *sign) launch(t *testing.T, args ...string) (pod *launcher.Pod, shown []string, err error) {
	t.Helper()
	pod, err = s.l.Launch(t.Context(), launcher.Spec{
		Name: "alice", Args: args,
		Progress: func(line string) { shown = append(shown, line) },
	})
	if err == nil {
		t.Cleanup(func() { stop(t, pod) })
	}
	return pod, shown, err
}

// The pod that says why it fails is understood by the default probe.
func TestFailingPodOfTheProtocol(t *testing.T) {
	s := newSign(t, "A pod that says why it fails", "sh", nil, executable)
	_, shown, err := s.launch(t, "alice", "/no/model")
	var failed *readiness.FailedError
	if !errors.As(err, &failed) || failed.Reason != "there is no model at /no/model" {
		t.Errorf("it failed with %v", err)
	}
	if !slices.Equal(shown, []string{"looking for the model"}) {
		t.Errorf("it has shown %q", shown)
	}
}

// The pod in C that notifies is ready when it says so, and its own reason is the
// launch's.
func TestNotifyingPodOfTheProtocol(t *testing.T) {
	need(t, "cc")
	s := newSign(t, "A pod that notifies", "c", readiness.NotifySocket{}, compiled)
	_, shown, err := s.launch(t, s.model)
	if err != nil || !slices.Equal(shown, []string{"reading the model", "serving"}) {
		t.Errorf("it has shown %q, %v", shown, err)
	}
	s = newSign(t, "A pod that notifies", "c", readiness.NotifySocket{}, compiled)
	_, _, err = s.launch(t, "/no/model")
	var failed *readiness.FailedError
	if !errors.As(err, &failed) || failed.Reason != "cannot read the model" || failed.Errno != syscall.ENOENT {
		t.Errorf("it failed with %v", err)
	}
}

// The shell that writes a newline is ready then, and not if it exits before.
func TestNewlinePodOfTheProtocol(t *testing.T) {
	s := newSign(t, "A pod that writes a newline", "sh", readiness.NotifyFD{}, executable)
	_, shown, err := s.launch(t, s.model)
	if err != nil || !slices.Equal(shown, []string{"reading the model"}) {
		t.Errorf("it has shown %q, %v", shown, err)
	}
	s = newSign(t, "A pod that writes a newline", "sh", readiness.NotifyFD{}, executable)
	if _, _, err = s.launch(t, "/no/model"); !errors.Is(err, launcher.ErrExitedEarly) {
		t.Errorf("it failed with %v", err)
	}
}

// The pod in Python that is given its socket answers on it.
func TestActivatedPodOfTheProtocol(t *testing.T) {
	need(t, "python3")
	s := newSign(t, "A pod that is given its socket", "python", readiness.Listener{}, executable)
	pod, _, err := s.launch(t)
	if err != nil {
		t.Fatal(err)
	}
	talk(t, pod)
	talk(t, pod)
}
