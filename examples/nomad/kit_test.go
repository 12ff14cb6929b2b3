package nomad_test

import (
	"io"
	"os"
	"testing"

	"github.com/podlaunch/podlaunch/examples/nomad"
	"github.com/podlaunch/podlaunch/examples/nomad/internal/fakeengine"
	"github.com/podlaunch/podlaunch/launcher/launchertest"
	"github.com/podlaunch/podlaunch/logsource"
	"github.com/podlaunch/podlaunch/logsource/logsourcetest"
	"github.com/podlaunch/podlaunch/readiness"
	"github.com/podlaunch/podlaunch/readiness/readinesstest"
)

// TestStarter: the fake runs no programs; a real agent does, in TestRealStarter.
func TestStarter(t *testing.T) {
	launchertest.TestStarter(t, func(t *testing.T) launchertest.StarterCase {
		return launchertest.StarterCase{
			Starter: nomad.Starter{Engine: engine(t, fakeengine.New(t).URL())},
			Lacks:   launchertest.Programs,
		}
	})
}

// A delivered is a Log whose kit plays the program.
type delivered struct {
	nomad.Log
	engine *fakeengine.Engine
}

func (d delivered) Deliver(launch logsource.Launch) (io.WriteCloser, error) {
	return writer{d.engine.Add(nomad.JobID(launch.Name, launch.ID))}, nil
}

type writer struct{ task *fakeengine.Task }

func (w writer) Write(p []byte) (int, error) {
	w.task.Write("stderr", p)
	return len(p), nil
}

func (w writer) Close() error {
	w.task.Exit(0)
	return nil
}

func TestLog(t *testing.T) {
	logsourcetest.Test(t, func(t *testing.T) logsource.Source {
		e := fakeengine.New(t)
		return delivered{nomad.Log{Engine: engine(t, e.URL())}, e}
	})
}

// A log that is cut again and again is read whole all the same.
func TestLogCut(t *testing.T) {
	logsourcetest.Test(t, func(t *testing.T) logsource.Source {
		e := fakeengine.New(t)
		e.CutLogs = 50 << 10
		return delivered{nomad.Log{Engine: engine(t, e.URL())}, e}
	})
}

func TestAddress(t *testing.T) {
	readinesstest.Test(t, func(t *testing.T) readinesstest.Case {
		dir, address := t.TempDir(), freeAddress(t)
		if err := os.WriteFile(dir+"/placement.json", []byte(`{"job": "web-1", "addresses": {"pod": "`+address+`"}}`), 0o600); err != nil {
			t.Fatal(err)
		}
		return readinesstest.Case{
			Probe:  nomad.Address{},
			Target: readiness.Target{Name: "web", RuntimeDir: dir},
			Ready:  func(*readiness.Setup) { listen(t, address) },
			Want:   readiness.Endpoint{Network: "tcp", Address: address},
		}
	})
}
