//go:build linux

package lifetime_test

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/podlaunch/podlaunch/launcher"
	"github.com/podlaunch/podlaunch/launcher/internal/podrig"
	"github.com/podlaunch/podlaunch/runtimedir"
)

// BenchmarkLaunch measures what the keeper costs. Three kinds of launches take turns,
// because the machine may be busy: a Detached pod, a pod whose keeper is already there,
// and a pod that needs a new keeper.
//
//	go test ./launcher/internal/lifetime -run '^$' -bench . -benchtime 200x
func BenchmarkLaunch(b *testing.B) {
	l := launcher.Launcher{Dir: runtimedir.Dir(b.TempDir()), Command: podrig.Script(podrig.Serve...)}
	launch := func(name string, lifetime launcher.Lifetime) (*launcher.Pod, time.Duration) {
		began := time.Now()
		pod, err := l.Launch(b.Context(), launcher.Spec{Name: name, Lifetime: lifetime})
		if err != nil {
			b.Fatal(err)
		}
		return pod, time.Since(began)
	}
	stop := func(pod *launcher.Pod) time.Duration {
		began := time.Now()
		if err := pod.Stop(b.Context()); err != nil {
			b.Fatal(err)
		}
		return time.Since(began)
	}
	var detached, beside, first, stopDetached, stopBeside, stopLast time.Duration
	for b.Loop() {
		pod, took := launch("alice", launcher.Detached)
		detached, stopDetached = detached+took, stopDetached+stop(pod)
		other, took := launch("bob", launcher.WithParent)
		first += took
		pod, took = launch("alice", launcher.WithParent)
		beside, stopBeside = beside+took, stopBeside+stop(pod)
		stopLast += stop(other)
	}
	for name, d := range map[string]time.Duration{
		"detached": detached, "beside-a-keeper": beside, "with-a-new-keeper": first,
		"stop-detached": stopDetached, "stop-beside": stopBeside, "stop-last": stopLast,
	} {
		b.ReportMetric(float64(d.Microseconds())/float64(b.N), "µs/"+name)
	}
	pod, _ := launch("alice", launcher.WithParent)
	defer stop(pod)
	b.ReportMetric(memory(b, "RssAnon:"), "KiB-own")
	b.ReportMetric(memory(b, "VmRSS:"), "KiB-resident")
}

// memory returns what the keeper of this program has, in KiB.
func memory(b *testing.B, what string) float64 {
	b.Helper()
	children, err := os.ReadDir("/proc")
	if err != nil {
		b.Fatal(err)
	}
	for _, c := range children {
		status, _ := os.ReadFile(filepath.Join("/proc", c.Name(), "status"))
		if !strings.Contains(string(status), "Name:\tpodlaunch-keepe\n") || !strings.Contains(string(status), "PPid:\t"+strconv.Itoa(os.Getpid())+"\n") {
			continue
		}
		for line := range strings.Lines(string(status)) {
			if value, ok := strings.CutPrefix(line, what); ok {
				kib, err := strconv.Atoi(strings.Fields(value)[0])
				if err != nil {
					b.Fatal(err)
				}
				return float64(kib)
			}
		}
	}
	b.Fatal("there is no keeper")
	return 0
}
