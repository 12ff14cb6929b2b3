//go:build linux

package main

import (
	"fmt"
	"math"
	"os"
	"testing"
	"time"
)

// The test binary is the worker, too.
func TestMain(m *testing.M) {
	if os.Getenv(workerEnv) == "1" {
		if err := work(os.Args[2], os.Args[4]); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

// The shapes: what a busy machine cannot make, and a mistake does. How fast
// anything is, no test here asks.

// budget is how many system calls a launch may make, its child's until the pod
// runs included. Who makes more writes down here why.
const budget = 100

func newWorker(t *testing.T) (*client, podOptions) {
	t.Helper()
	if err := keepDescriptors(); err != nil {
		t.Fatal(err)
	}
	pod, _, err := build(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	c, err := startWorker(peers()[0], defaultBase())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.close(); err != nil {
			t.Error(err)
		}
	})
	return c, podOptions{Program: pod}
}

func mustDo(t *testing.T, c *client, o order) answer {
	t.Helper()
	a, err := c.do(o)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// Threads do not grow with pods, and each pod takes what the documentation says:
// at most 3 goroutines and 5 descriptors while it is pending, then 1 and 3. The five are the
// process, both locks, the log and the record; all who launch in one base share that.
// Waiting costs nothing.
func TestManyPods(t *testing.T) {
	const pods = 300
	c, pod := newWorker(t)
	mustDo(t, c, order{Op: "launch", Count: 1, Pod: pod})
	before := mustDo(t, c, order{Op: "snapshot"}).State
	mustDo(t, c, order{Op: "pend", Count: pods, Pod: pod})
	check := func(when string, s state, goroutines, descriptors int) {
		t.Helper()
		// The harness has a goroutine for each launch that is under way, which
		// is the caller's own; a few come and go.
		const some = 20
		if got := s.Goroutines - before.Goroutines; got > pods*goroutines+some {
			t.Errorf("%d goroutines for %d %s pods, at most %d each are allowed", got, pods, when, goroutines)
		}
		if got := s.Descriptors - before.Descriptors; got > pods*descriptors+some {
			t.Errorf("%d descriptors for %d %s pods, at most %d each are allowed", got, pods, when, descriptors)
		}
		if s.Threads > pods/2 {
			t.Errorf("%d threads for %d %s pods", s.Threads, pods, when)
		}
	}
	check("pending", mustDo(t, c, order{Op: "snapshot"}).State, 3, 5)
	mustDo(t, c, order{Op: "open"})
	check("ready", mustDo(t, c, order{Op: "snapshot"}).State, 1, 3)

	time.Sleep(time.Second) // what lingers ends
	const look = 3
	counts, err := traced(c, func() error {
		time.Sleep(look * time.Second)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if calls := asked(counts) + counts["epoll_pwait"] + counts["futex"]; calls > pods*look/4 {
		t.Errorf("%.0f system calls in %d s for %d ready pods that do nothing: %v", calls, look, pods, counts)
	}
}

// Memory does not grow with what a pod writes before it is ready.
func TestMemoryAndOutput(t *testing.T) {
	c, pod := newWorker(t)
	little, much := pod, pod
	little.Bytes, much.Bytes = 1<<20, 256<<20
	small := mustDo(t, c, order{Op: "launch", Count: 1, Pod: little}).State.PeakRSS
	large := mustDo(t, c, order{Op: "launch", Count: 1, Pod: much}).State.PeakRSS
	if grown := large - small; grown > 32<<20 {
		t.Errorf("256 MiB of output take %d MiB more memory than 1 MiB", grown>>20)
	}
}

// A launch makes no more system calls than are recorded.
func TestSystemCallBudget(t *testing.T) {
	c, pod := newWorker(t)
	settle()
	var counts map[string]float64
	total := math.Inf(1)
	for range 3 { // beside other tests a launch waits in more steps: the fewest count
		seen, err := countSyscalls(c, pod.Program, 50)
		if err != nil {
			t.Fatal(err)
		}
		if n := asked(seen); n < total {
			counts, total = seen, n
		}
	}
	t.Logf("%.1f system calls per launch", total)
	switch {
	case total > budget:
		t.Errorf("%.1f system calls per launch, %d are allowed: %v", total, budget, counts)
	case total < budget/2:
		t.Errorf("%.1f system calls per launch, far less than %d: were they counted?", total, budget)
	}
}

// allocations is how many times a launch may allocate, with what the order takes. As with
// budget, a change that allocates more says here why. The last one looks at the record by its
// path, twice: if the base is moved meanwhile, a name would have two pods.
const allocations = 363

// A launch allocates no more often than is recorded. On a busy machine a launch looks more
// often at what it waits for, so the fewest of many count.
func TestAllocationBudget(t *testing.T) {
	c, pod := newWorker(t)
	settle()
	const count = 5
	fewest := math.Inf(1)
	for range 40 {
		a := mustDo(t, c, order{Op: "launch", Count: count, Pod: pod})
		fewest = min(fewest, float64(a.Mallocs)/count)
	}
	t.Logf("%.1f allocations per launch", fewest)
	switch {
	case fewest > allocations:
		t.Errorf("%.1f allocations per launch, %d are allowed", fewest, allocations)
	case fewest < allocations/3:
		t.Errorf("%.1f allocations per launch, far less than %d: were they counted?", fewest, allocations)
	}
}

// Who stops many pods at once looks at the processes of the machine together: a pod takes a
// fraction of the processor time that it takes if they are stopped one after the other.
func TestEndsTogether(t *testing.T) {
	const pods = 100
	c, pod := newWorker(t)
	each := func(atOnce int) int64 {
		mustDo(t, c, order{Op: "launch", Count: pods, Concurrency: 16, Keep: true, Pod: pod})
		return mustDo(t, c, order{Op: "kill", Concurrency: atOnce}).CPU / pods
	}
	alone, together := each(1), each(pods)
	if together > alone/2 {
		t.Errorf("to stop a pod takes %d us of processor time, and beside %d others %d us, more than half of that", alone/1000, pods-1, together/1000)
	}
}

// The same goes for launches that are cancelled at the same time, or whose time is over.
func TestFailsTogether(t *testing.T) {
	const pods = 100
	c, pod := newWorker(t)
	each := func(atOnce int) int64 {
		mustDo(t, c, order{Op: "pend", Count: pods, Pod: pod})
		return mustDo(t, c, order{Op: "kill", Concurrency: atOnce}).CPU / pods
	}
	alone, together := each(1), each(pods)
	if together > alone/2 {
		t.Errorf("to cancel a launch takes %d us of processor time, and beside %d others %d us, more than half of that", alone/1000, pods-1, together/1000)
	}
}
