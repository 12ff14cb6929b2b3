package unixproc

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"sync/atomic"
)

// lifeOf returns when a process started, and whether it has ended.
func lifeOf(pid int) (start uint64, dead bool, err error) {
	st, err := ReadStat(pid)
	return st.Start, st.Dead(), err
}

// A herePlace is where this process runs, which does not change.
type herePlace struct{ boot, namespace string }

// knownPlace is where this process runs, once that could be found out.
var knownPlace atomic.Pointer[herePlace]

// here returns the boot id and the pid namespace. What keeps it from that once,
// the limit on descriptors for instance, need not be so the next time.
func here() (boot, namespace string, err error) {
	h := knownPlace.Load()
	if h == nil {
		if h, err = findPlace(); err != nil {
			return "", "", err
		}
		knownPlace.Store(h)
	}
	return h.boot, h.namespace, nil
}

func findPlace() (*herePlace, error) {
	data, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return nil, err
	}
	// A /proc that was mounted in another pid namespace, as unshare -p without
	// --mount-proc leaves it, shows other processes under the numbers of ours.
	self, err := os.Readlink("/proc/self")
	if err != nil {
		return nil, err
	}
	if self != strconv.Itoa(os.Getpid()) {
		return nil, fmt.Errorf("/proc is of another pid namespace (we are pid %d here, and %q there): processes cannot be told apart; mount a /proc for this namespace: %w",
			os.Getpid(), self, errors.ErrUnsupported)
	}
	namespace, err := os.Readlink("/proc/self/ns/pid")
	if err != nil {
		return nil, err
	}
	return &herePlace{strings.TrimSpace(string(data)), namespace}, nil
}
