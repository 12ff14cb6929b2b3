//go:build linux

package endurance_test

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/podlaunch/podlaunch/launcher"
	"github.com/podlaunch/podlaunch/launcher/internal/leaktest"
	"github.com/podlaunch/podlaunch/launcher/internal/podrig"
)

var launches = flag.Int("launches", 0, "how many `launches` TestSoak makes; default 200, and with -soak 20000")

// A program may launch pods for as long as it likes: after very many launches it
// has the descriptors, goroutines, threads, children and memory that it had when
// it was warm. Of fifty launches one is released and attached to again, ten fail,
// five are cancelled, and the others become ready and are stopped; several go on
// at any time. The whole of it, in less than an hour:
//
//	go test ./launcher/internal/endurance -run TestSoak -launches 100000 -timeout 2h -v
func TestSoak(t *testing.T) {
	if testing.Short() {
		t.Skip("skipped with -short: it launches hundreds of pods")
	}
	count := 200
	if *podrig.Soak {
		count = 20_000
	}
	if *launches > 0 {
		count = *launches
	}
	s := &soak{podrig.New(t)}
	s.launch(max(100, count/10))
	snapshot, before := leaktest.Take(), use(t)
	began := time.Now()
	s.launch(count)
	took := time.Since(began)
	if left := snapshot.Left(podrig.Ample, podrig.Pod); left != nil {
		t.Errorf("left behind:\n%s", strings.Join(left, "\n"))
	}
	after := use(t)
	t.Logf("%d launches in %v\nwarm     %+v\nat last  %+v", count, took.Round(time.Second), before, after)
	// Both go up and down a little, no matter how many launches there were.
	if after.threads > before.threads+2*soakers {
		t.Errorf("there were %d threads, and are %d", before.threads, after.threads)
	}
	if after.heap > before.heap+heapSlack {
		t.Errorf("the heap held %d bytes, and holds %d", before.heap, after.heap)
	}
}

const (
	soakers   = 6 // launches at one time
	heapSlack = 512 << 10
)

// A usage is what a program takes that a snapshot of leaktest does not compare.
type usage struct {
	threads int
	heap    uint64 // bytes in use
}

func use(t *testing.T) usage {
	t.Helper()
	tasks, err := os.ReadDir("/proc/self/task")
	if err != nil {
		t.Fatal(err)
	}
	var m runtime.MemStats
	for range 3 { // what has a finalizer goes with the second, and pools with it
		runtime.GC()
	}
	runtime.ReadMemStats(&m)
	return usage{len(tasks), m.HeapAlloc}
}

// A soak launches pods. Each soaker has names of its own, and uses them again.
type soak struct{ *podrig.Rig }

// launch makes count launches, and one more for each soaker, which reaps what was
// released before it.
func (s *soak) launch(count int) {
	var next atomic.Int64
	var all sync.WaitGroup
	for id := range soakers {
		all.Go(func() {
			for n := int(next.Add(1)); n <= count; n = int(next.Add(1)) {
				if err := s.one(fmt.Sprintf("pod%d-%d", id, n%10), n); err != nil {
					s.T.Errorf("launch %d: %v", n, err)
					return
				}
			}
		})
	}
	all.Wait()
	if err := s.one("last", 0); err != nil {
		s.T.Error(err)
	}
}

// one makes the nth launch.
func (s *soak) one(name string, n int) error {
	ctx, cancel := context.WithCancel(s.T.Context())
	defer cancel()
	l := s.L
	spec := launcher.Spec{Name: name}
	switch kind := n % 50; {
	case kind == 1:
		l.Command = podrig.Script(podrig.Serve...)
		pod, err := l.Launch(ctx, spec)
		if err != nil {
			return err
		}
		pod.Release()
		if pod, err = l.Attach(ctx, name); err != nil {
			return err
		}
		return pod.Stop(ctx)
	case kind%5 == 2:
		l.Command = podrig.Script("say I cannot", "exit 3")
		_, err := l.Launch(ctx, spec)
		return mustBe(err, launcher.ErrExitedEarly)
	case kind%10 == 3:
		l.Command = podrig.Script("spawn hang", "say up", "hang")
		spec.Progress = func(string) { cancel() }
		_, err := l.Launch(ctx, spec)
		return mustBe(err, context.Canceled)
	}
	l.Command = podrig.Script("say hello", "listen", "ready", "hang")
	pod, err := l.Launch(ctx, spec)
	if err != nil {
		return err
	}
	return pod.Stop(ctx)
}

func mustBe(err, want error) error {
	if e, ok := err.(*launcher.Error); !ok || !errors.Is(err, want) || e.Leftover != nil {
		return fmt.Errorf("%T %v, want %v", err, err, want)
	}
	return nil
}
