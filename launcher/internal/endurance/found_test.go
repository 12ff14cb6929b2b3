//go:build linux

package endurance_test

import (
	"testing"

	"golang.org/x/sys/unix"

	"github.com/podlaunch/podlaunch/launcher/internal/crashpoint"
	"github.com/podlaunch/podlaunch/launcher/internal/podrig"
)

// What was wrong once is tried every time: with -soak with each call of its kind,
// and else with the first.
func TestErrnoFound(t *testing.T) {
	if testing.Short() {
		t.Skip("skipped with -short: each of many calls fails in a program of its own")
	}
	for _, found := range []injection{
		// Where we run was not asked again after it could not be found out.
		{act: "launch", call: crashpoint.Call{Name: "readlinkat", On: "proc"}, errno: unix.ENOMEM},
		// A pidfd that the poller could not have was taken for a pod that is gone.
		{act: "attach", call: crashpoint.Call{Name: "fcntl", On: "pidfd"}, errno: unix.EACCES},
		{act: "attach", call: crashpoint.Call{Name: "epoll_ctl", On: "pidfd"}, errno: unix.ENOSPC},
		{act: "launch", call: crashpoint.Call{Name: "epoll_ctl", On: "pidfd"}, errno: unix.ENOMEM},
		// The end of a pod that was attached to was overlooked.
		{act: "stop attached", call: crashpoint.Call{Name: "ppoll"}, errno: unix.EINTR},
		// The error said that the base exists, and not that it could not be looked at.
		{act: "launch", call: crashpoint.Call{Name: "newfstatat"}, errno: unix.ENOMEM},
		// The record of a pod that was gone stayed, and nobody said so.
		{act: "launch that fails", call: crashpoint.Call{Name: "fstat", On: "file"}, errno: unix.EOVERFLOW},
		// A launch that had failed waited for ever to say whether its log's filesystem
		// is full.
		{act: "launch that fails", call: crashpoint.Call{Name: "statfs"}},
	} {
		t.Run(found.String(), func(t *testing.T) {
			t.Parallel() // in a program of its own
			j := newInjector(t)
			for found.n = 1; j.missed == 0 && (*podrig.Soak || found.n <= 1); found.n++ {
				j.try(found)
			}
			if len(j.outcomes) == 0 {
				t.Error("there is no such call")
			}
		})
	}
}

// An inotify instance that the poller cannot have tells nobody anything: nothing
// is watched by it, and the log is looked at instead.
func TestErrnoInotifyWithoutPoller(t *testing.T) {
	if testing.Short() {
		t.Skip("skipped with -short: each of many calls fails in a program of its own")
	}
	j := newInjector(t)
	calls, made, r := j.run(injection{act: "launch", call: crashpoint.Call{Name: "epoll_ctl", On: "inotify"}, n: 1, on: true, errno: unix.ENOMEM})
	watches := calls[crashpoint.Call{Name: "inotify_add_watch"}]
	if !made || r.Err != "" || r.Faults != nil || watches != 0 {
		t.Errorf("failed: %v; %d watches; %+v", made, watches, r)
	}
}
