package main

import (
	"fmt"
	"strings"
	"testing"

	"github.com/podlaunch/podlaunch/launcher"
	"github.com/podlaunch/podlaunch/launcher/launchertest"
	"github.com/podlaunch/podlaunch/logsource"
	"github.com/podlaunch/podlaunch/logsource/logsourcetest"
	"github.com/podlaunch/podlaunch/readiness"
	"github.com/podlaunch/podlaunch/readiness/readinesstest"
	"github.com/podlaunch/podlaunch/runtimedir"
	"github.com/podlaunch/podlaunch/runtimedir/runtimedirtest"
)

// Each kit tests a default of the library, as it tests a strategy of yours.

func TestMain(m *testing.M) { launchertest.Main(m) }

func TestRuntimeDir(t *testing.T) {
	runtimedirtest.Test(t, func(t *testing.T) runtimedir.Resolver { return runtimedir.Dir(t.TempDir()) })
}

func TestLog(t *testing.T) {
	logsourcetest.Test(t, func(*testing.T) logsource.Source { return logsource.File{} })
}

func TestProbe(t *testing.T) {
	readinesstest.Test(t, func(t *testing.T) readinesstest.Case {
		log := new(readinesstest.Log)
		return readinesstest.Case{
			Probe:  readiness.ReadyLine{},
			Target: readiness.Target{Name: "web", Lines: log.Lines},
			Ready:  func(*readiness.Setup) { readiness.Announce(log, "web", "/run/web/sock") },
			Fail:   func(*readiness.Setup) { fmt.Fprintln(log, "INSOMNIA-READY") },
			Want:   readiness.Endpoint{Network: "unix", Address: "/run/web/sock"},
		}
	})
}

func TestCommand(t *testing.T) {
	launchertest.TestCommandResolver(t, func(*testing.T) launchertest.CommandCase {
		return launchertest.CommandCase{
			Resolver: launcher.PodCommand{Program: "/bin/sh"},
			Missing:  launcher.PodCommand{Program: "/bin/no-such-program"},
		}
	})
}

func TestStarter(t *testing.T) {
	launchertest.TestStarter(t, func(*testing.T) launchertest.StarterCase {
		return launchertest.StarterCase{Starter: launcher.Local{}}
	})
}

// The test binary plays a pod.
func TestFakePod(t *testing.T) {
	l := launcher.Launcher{
		Command: launchertest.FakePod("say hello", "exit 3"),
		Dir:     runtimedir.Dir(t.TempDir()),
	}
	pod, err := l.Launch(t.Context(), launcher.Spec{Name: "web"})
	if want := "pod exited before becoming ready: hello"; pod != nil || err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("Launch returned %v, %v; want %q", pod, err, want)
	}
}
