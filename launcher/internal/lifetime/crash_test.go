//go:build linux

package lifetime_test

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/podlaunch/podlaunch/launcher"
	"github.com/podlaunch/podlaunch/launcher/internal/crashpoint"
	"github.com/podlaunch/podlaunch/launcher/internal/keeper"
	"github.com/podlaunch/podlaunch/launcher/internal/podrig"
)

// Wherever in a launch the program is killed, at the entry or the exit of any system call
// of any of its threads, or of the child that it has forked before that comes to its
// exec: nobody is left of the pod, nor of the keeper.
//
// The points are spread evenly over a launch. Another sweep is about the calls that a
// forked child makes before its exec. There are two such children: the keeper and the pod.
func TestCrashPoints(t *testing.T) {
	for _, s := range []*sweep{
		{name: "all", count: podrig.Size(t, 4, 40, 200)},
		{name: "forked", count: podrig.Size(t, 4, 20, 100), only: func(p crashpoint.Point) bool { return p.Child || p.Where == "child" }},
		{name: "family", count: podrig.Size(t, 2, 20, 100), script: family},
	} {
		t.Run(s.name, func(t *testing.T) { s.run(t) })
	}
}

// A sweep kills launchers at count points.
type sweep struct {
	name   string
	count  int
	script string
	only   func(crashpoint.Point) bool // nil: all points

	mu      sync.Mutex
	killed  int
	took    []time.Duration
	longest time.Duration
	at      crashpoint.Point // where that was
}

func (s *sweep) run(t *testing.T) {
	total := s.try(t, 0)
	points := make(chan int)
	var workers sync.WaitGroup
	for range 2 {
		workers.Go(func() {
			for n := range points {
				s.try(t, n)
			}
		})
	}
	for i := range s.count {
		points <- 1 + i*total/s.count
	}
	close(points)
	workers.Wait()
	if s.killed < s.count/2 {
		t.Errorf("of %d programs only %d were killed", s.count, s.killed)
		return
	}
	slices.Sort(s.took)
	t.Logf("a launch has about %d points; the program was killed at %d of %d; until nobody was left it took %v in half of them, %v in 9 of 10, and %v at most, at %v",
		total, s.killed, s.count, s.took[len(s.took)/2], s.took[len(s.took)*9/10], s.longest, s.at)
}

// try kills a program at its nth point, or has it end by itself if n is 0, and makes sure
// that nobody is left. It returns how many points there were.
func (s *sweep) try(t *testing.T, n int) int {
	r := newRole(t, launcher.WithParent, s.script)
	r.Traced = true
	result, err := crashpoint.Run(crashpoint.Program{
		Path:   os.Args[0],
		Env:    r.environ(t),
		Stderr: os.Stderr,
		Count:  s.only,
	}, n)
	if err != nil {
		t.Errorf("point %d: %v", n, err)
	}
	took, left := r.awaitGone(t)
	if len(left) > 0 {
		t.Errorf("the program was killed at point %d, %v; of what it has started there is still %v", n, result.At, left)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if result.Killed {
		s.killed++
		s.took = append(s.took, took)
		if took > s.longest {
			s.longest, s.at = took, result.At
		}
	} else if result.Status != 0 {
		t.Errorf("point %d: the program, which was not killed, ended with %#x", n, result.Status)
	}
	return result.Points
}

// The program is killed when the pod's process has closed its descriptors, also its copy
// of the lifeline, and is kept from its exec. The keeper waits for what becomes of it, or
// has ended it already: it has the pod's lock.
func TestKilledBeforeExec(t *testing.T) {
	exec := func(p crashpoint.Point) bool { return p.Child && p.Call == "execve" && p.Where == "entry" }
	r := newRole(t, launcher.WithParent, family)
	r.Traced = true
	kept, left := 0, 0
	result, err := crashpoint.Run(crashpoint.Program{
		Path: os.Args[0], Env: r.environ(t), Stderr: os.Stderr, Count: exec,
		Held: func() {
			looks := make(map[int]int)
			await(t, "the keeper looks, or has gone", func() bool {
				all := r.all(t)
				kept, left = 0, len(all)
				for _, pid := range all {
					if line, _ := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid)); string(line) != keeper.Name+"\x00" {
						continue
					}
					kept++
					if looks[pid] == 0 {
						looks[pid] = switches(t, pid)
					}
					return switches(t, pid) > looks[pid]+20
				}
				left = len(r.all(t)) // without a keeper that has just gone
				return true
			})
		},
	}, 2) // the first one is the keeper's
	if err != nil || !result.Killed {
		t.Fatalf("the program was killed: %v, %v", result.Killed, err)
	}
	if kept != 1 && left > 0 {
		t.Errorf("while the pod was kept from its exec there were %d keepers, and %d processes", kept, left)
	}
	r.mustBeGone(t)
}

// switches returns how often the threads of a process have begun to wait.
func switches(t *testing.T, pid int) (n int) {
	t.Helper()
	paths, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/status", pid))
	if err != nil {
		t.Error(err)
	}
	for _, path := range paths {
		status, _ := os.ReadFile(path) // the thread may have just gone
		for line := range strings.Lines(string(status)) {
			if value, ok := strings.CutPrefix(line, "voluntary_ctxt_switches:"); ok {
				more, err := strconv.Atoi(strings.TrimSpace(value))
				if err != nil {
					t.Error(err)
				}
				n += more
			}
		}
	}
	return n
}
