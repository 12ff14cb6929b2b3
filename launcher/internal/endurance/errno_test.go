//go:build linux

package endurance_test

import (
	"flag"
	"maps"
	"slices"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/podlaunch/podlaunch/launcher/internal/crashpoint"
)

var errnoCount = flag.String("errnos", "", "how many `injections` TestErrno makes, or \"all\"; default 8, and with -soak 250")

// Whichever system call of a launch fails, and with whichever error that it may
// give, the launch succeeds or returns an *Error that wraps it, nothing is left
// that this does not name, and in the same program the name can be launched again.
//
// Each injection is made in a program of its own: the nth call of a kind fails,
// of whichever of its threads it is, or of the child that it has forked. All of
// the first calls of all kinds are tried that a launch makes, and with them those
// of Attach and Stop. What is tried by default is spread evenly over the list; all
// of it, with a table of what came of it, takes some minutes:
//
//	go test ./launcher/internal/endurance -run TestErrno -errnos all -timeout 1h -v
func TestErrno(t *testing.T) {
	if testing.Short() {
		t.Skip("skipped with -short: each of many calls fails in a program of its own")
	}
	j := newInjector(t)
	every := slices.Sorted(maps.Keys(acts))
	all := j.list(every, *errnoCount == everything, func(c crashpoint.Call) []syscall.Errno {
		list, _ := errnosOf(c)
		return list
	})
	j.inject(j.choose(all, *errnoCount, 8, 250), 4)
	for call := range j.unknown {
		t.Errorf("a launch makes the call %q, which is neither in errnos nor in spared", call)
	}
}

// The tables leave nothing out without a reason, and have none that is in vain.
func TestErrnoTables(t *testing.T) {
	for key := range spared {
		if _, ok := errnos[key]; ok {
			t.Errorf("%s is in errnos and in spared", key)
		}
	}
	for key, list := range errnos {
		if len(list) == 0 || slices.Contains(list, 0) || slices.Contains(list, unix.EFAULT) {
			t.Errorf("%s: %v", key, list)
		}
	}
	for key := range never {
		at := strings.LastIndexByte(key, ' ')
		if !slices.ContainsFunc(errnos[key[:at]], func(e syscall.Errno) bool { return unix.ErrnoName(e) == key[at+1:] }) {
			t.Errorf("%s is not in errnos anyway", key)
		}
	}
}
