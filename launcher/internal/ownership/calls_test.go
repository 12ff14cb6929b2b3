//go:build linux

package ownership_test

import (
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/podlaunch/podlaunch/launcher/internal/crashpoint"
)

// How many system calls of a launch may be about its name, and how many of them may
// lie between the probe's verdict and the return. They are those of a name whose pod
// has ended: its record is there, and its process is not.
const (
	callsOfTheName = 34
	callsWhenReady = 6
)

// ofTheRuntime begins the names of the calls that the Go runtime makes by itself.
var ofTheRuntime = []string{"clone", "epoll", "eventfd", "futex", "getpid", "getrandom", "gettid", "madvise", "mmap", "mprotect", "munmap",
	"nanosleep", "clock", "prctl", "rt_", "sched_", "sigaltstack", "tgkill", "timer", "rseq", "set_robust", "restart", "pipe"}

// A launch makes few system calls about its name. It does not read /proc/locks, and looks
// into no process except the recorded one.
func TestSystemCalls(t *testing.T) {
	s := newScene(t)
	var calls []string
	run := func() {
		t.Helper()
		calls = nil
		result, err := crashpoint.Run(crashpoint.Program{
			Path:   os.Args[0],
			Env:    append(os.Environ(), roleVariable+"=launch "+s.base),
			Stderr: os.Stderr,
			Count: func(p crashpoint.Point) bool {
				if p.Where == "entry" && !slices.ContainsFunc(ofTheRuntime, func(name string) bool { return strings.HasPrefix(p.Call, name) }) {
					calls = append(calls, p.Call)
				}
				return true
			},
		}, 0)
		if err != nil || result.Status != 0 {
			t.Fatalf("the launcher: %v, %#x", err, result.Status)
		}
	}
	run() // which makes the files
	run()
	phases := strings.Split(strings.Join(calls, " "), "chdir")
	if len(phases) != 3 {
		t.Fatalf("they were not seen: %q", calls)
	}
	n := len(calls) - 2
	t.Logf("%d system calls:\n%s", n, strings.Join(phases, "\n"))
	if n > callsOfTheName {
		t.Errorf("%d system calls are about the name, %d are allowed", n, callsOfTheName)
	}
	if ready := len(strings.Fields(phases[1])); ready > callsWhenReady {
		t.Errorf("%d system calls lie between the verdict and the return, %d are allowed", ready, callsWhenReady)
	}
}

// Who asks whether a pod is being launched releases the lock that this takes, and does
// not only close it: a child that was just forked may have a copy.
func TestLaunchingReleasesItsLock(t *testing.T) {
	s := newScene(t)
	s.mustBeFree() // which makes the locks
	var calls []string
	result, err := crashpoint.Run(crashpoint.Program{
		Path:   os.Args[0],
		Env:    append(os.Environ(), roleVariable+"=ask "+s.base),
		Stderr: os.Stderr,
		Count: func(p crashpoint.Point) bool {
			if p.Where == "entry" && p.Call == "flock" {
				calls = append(calls, p.Call)
			}
			return true
		},
	}, 0)
	if err != nil || result.Status != 0 {
		t.Fatalf("who asks: %v, %#x", err, result.Status)
	}
	if len(calls) != 2 {
		t.Errorf("it makes %d calls of flock(2), want one that locks and one that unlocks", len(calls))
	}
}
