//go:build linux

package launcher_test

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/podlaunch/podlaunch/launcher"
	"github.com/podlaunch/podlaunch/launcher/launchertest"
	"github.com/podlaunch/podlaunch/readiness"
	"github.com/podlaunch/podlaunch/runtimedir"
)

// Of a process that has ended already nothing is recorded: somebody else may have
// reaped it, and its number may be a stranger's.
func TestEndedProcessIsNotRecorded(t *testing.T) {
	stranger := exec.Command("cat")
	stdin, err := stranger.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := stranger.Start(); err != nil {
		t.Fatal(err)
	}
	defer stranger.Wait()
	defer stdin.Close()
	ended := &launchertest.Process{Number: stranger.Process.Pid}
	ended.Exit(launcher.Exit{Code: 3, Known: true})

	base := t.TempDir()
	var record []byte
	var recordErr error
	l := launcher.Launcher{
		Command: launcher.Path("/bin/sh"),
		Dir:     runtimedir.Dir(base),
		Starter: fakeStarter{ended},
		Ready: readiness.ProbeFunc(func(ctx context.Context, _ readiness.Target) (readiness.Endpoint, error) {
			record, recordErr = os.ReadFile(filepath.Join(base, ".web.json"))
			<-ctx.Done()
			return readiness.Endpoint{}, context.Cause(ctx)
		}),
	}
	pod, err := l.Launch(t.Context(), launcher.Spec{Name: "web"})
	if pod != nil || !errors.Is(err, launcher.ErrExitedEarly) {
		t.Errorf("Launch returned %v, %v", pod, err)
	}
	if recordErr != nil || !strings.HasPrefix(string(record), "{") {
		t.Errorf("while the launch waited, its intent was not there: %q, %v", record, recordErr)
	}
	if lines := strings.Count(string(record), "\n"); lines != 1 {
		t.Errorf("the record holds more than the intent: %s", record)
	}
}
