package nomad_test

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/podlaunch/podlaunch/examples/nomad"
	"github.com/podlaunch/podlaunch/examples/nomad/internal/clustertest"
	"github.com/podlaunch/podlaunch/launcher"
)

var manyHeld = flag.Int("pods", 0, "have TestClusterHolds launch so many `pods` and hold them for a minute; each takes some 35 MB")

// Many pods on three clients: ready, watched, listed, and stopped. What a launcher that
// holds them takes is measured, and is what docs/engines.md says.
func TestClusterHolds(t *testing.T) {
	pods, held := 6, 5*time.Second
	switch {
	case *manyHeld > 0:
		pods, held = *manyHeld, time.Minute
	case *soak:
		pods, held = 60, 20*time.Second
	}
	c := clustertest.NewCalm(t, 3)
	l := newLauncher(t, engine(t, c.URL))
	l.Command = worker(ready...)
	l.Starter = nomad.Starter{Engine: l.Log.(nomad.Log).Engine, CPU: 20, MemoryMB: 32} // one watch for both
	before := freeMemory(t)
	all := make([]*launcher.Pod, pods)
	began := time.Now()
	eightAtOnce(pods, func(i int) {
		var err error
		if t.Failed() {
			return
		}
		if free := freeMemory(t); free < enoughMemory {
			t.Errorf("only %d MB of memory are left: pod %d of %d is not launched", free>>20, i, pods)
			return
		}
		if time.Since(began) > launchFor {
			t.Errorf("%v are over: pod %d of %d is not launched", launchFor, i, pods)
			return
		}
		if all[i], err = l.Launch(t.Context(), launcher.Spec{Name: fmt.Sprint("web", i)}); err != nil {
			t.Error(err)
		}
	})
	launched := time.Since(began)
	pods -= countNil(all)
	t.Logf("%d pods were launched in %.1f s, and take %d MB", pods, launched.Seconds(), (before-freeMemory(t))>>20)
	hold(t, pods, held)
	listHeld(t, l, pods)
	began = time.Now()
	eightAtOnce(len(all), func(i int) {
		if all[i] != nil {
			mustStop(t, all[i])
		}
	})
	t.Logf("they were stopped in %.1f s", time.Since(began).Seconds())
	for _, command := range c.Left() {
		if strings.Contains(command, "podlaunch-fake-pod") && !strings.Contains(command, "executor") {
			t.Errorf("it still runs: %s", command)
		}
	}
}

// eightAtOnce calls f for each number below n.
func eightAtOnce(n int, f func(i int)) {
	var over sync.WaitGroup
	room := make(chan struct{}, 8)
	for i := range n {
		room <- struct{}{}
		over.Go(func() {
			defer func() { <-room }()
			f(i)
		})
	}
	over.Wait()
}

// hold measures what it takes to hold pods.
func hold(t *testing.T, pods int, held time.Duration) {
	t.Helper()
	most := 2*pods + 1 + 4 // the watch, and the agents, which are pods as well
	routines := goroutines(most)
	before := processorTime()
	time.Sleep(held) // that is what is measured
	took, conns := processorTime()-before, connections(t)
	t.Logf("held for %v: %v of processor time, %d goroutines, %d connections", held, took, routines, conns)
	if routines > most {
		t.Errorf("%d pods have %d goroutines", pods, routines)
	}
	if conns > 1+16 { // the stream, and those that are idle
		t.Errorf("there are %d connections", conns)
	}
	if limit := 100 * time.Millisecond; took > limit {
		t.Errorf("to hold them took %v of processor time, more than %v", took, limit)
	}
}

// listHeld lists the pods, which all are ready.
func listHeld(t *testing.T, l *launcher.Launcher, pods int) {
	t.Helper()
	began, n := time.Now(), 0
	for s, err := range l.List(t.Context()) {
		if err != nil || s.State != launcher.StateReady {
			t.Errorf("List yields %+v, %v", s, err)
		}
		n++
	}
	t.Logf("%d were listed in %v", n, time.Since(began).Round(time.Millisecond))
	if n != pods {
		t.Errorf("List yields %d pods of %d", n, pods)
	}
}

// countNil counts the pods that were not launched.
func countNil(all []*launcher.Pod) (n int) {
	for _, pod := range all {
		if pod == nil {
			n++
		}
	}
	return n
}

// launchFor is how long TestClusterHolds launches pods.
const launchFor = 5 * time.Minute

// enoughMemory is what TestClusterHolds leaves to others.
const enoughMemory = 4 << 30

// freeMemory is how many bytes of memory programs may still get.
func freeMemory(t *testing.T) int {
	table, err := os.ReadFile("/proc/meminfo")
	if err != nil {
		t.Fatal(err)
	}
	var kib int
	_, rest, _ := strings.Cut(string(table), "MemAvailable:")
	if _, err := fmt.Sscan(rest, &kib); err != nil {
		t.Fatal(err)
	}
	return kib << 10
}

// processorTime is what this program has taken.
func processorTime() time.Duration {
	var u syscall.Rusage
	syscall.Getrusage(syscall.RUSAGE_SELF, &u)
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// connections counts those of this program to agents.
func connections(t *testing.T) (n int) {
	table, err := os.ReadFile("/proc/self/net/tcp")
	if err != nil {
		t.Fatal(err)
	}
	const agents = ":1226" // 4646
	sockets := map[string]bool{}
	for line := range strings.Lines(string(table)) {
		if f := strings.Fields(line); len(f) > 9 && strings.HasSuffix(f[2], agents) {
			sockets["socket:["+f[9]+"]"] = true
		}
	}
	files, _ := filepath.Glob("/proc/self/fd/*")
	for _, file := range files {
		if to, err := os.Readlink(file); err == nil && sockets[to] {
			n++
		}
	}
	return n
}
