package osproc

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
)

// lifeOf returns when a process started, and whether it has ended. The start is that
// of the machine's clock, so it is the same in all time namespaces. The error is ErrGone,
// or says why lifeOf cannot tell; then it never wraps fs.ErrNotExist.
func lifeOf(pid int) (start uint64, dead bool, err error) {
	h, err := place()
	if err != nil {
		return 0, false, err
	}
	st, err := ReadStat(pid)
	switch {
	case errors.Is(err, unix.ESRCH):
		return 0, false, ErrGone
	case errors.Is(err, fs.ErrNotExist):
		return 0, false, notInProc(pid)
	case err != nil:
		return 0, false, proves(err)
	}
	return h.startOf(st), st.Dead(), nil
}

// vanished reports whether the kernel knows no process of this number, in one call.
func vanished(pid int) bool { return errors.Is(unix.Kill(pid, 0), unix.ESRCH) }

// notInProc says why /proc does not show a process: there is none, or /proc hides it. The
// kernel gives a pidfd also of a process that is hidden, and of another user's. Where it gives
// none a signal tells that there is no process. What kill(2) refuses proves nothing: the
// process may have become another user's, or a filter may refuse the call.
func notInProc(pid int) error {
	gone, err := hasEnded(pid)
	if errors.Is(err, unix.EINVAL) || errors.Is(err, unix.ENOENT) { // pid is a thread's, or a filter refuses the call
		_, err := hasEnded(os.Getpid())
		gone = err == nil
	}
	if gone || errors.Is(err, unix.ESRCH) || vanished(pid) {
		return ErrGone
	}
	if _, err := ReadStat(pid); err == nil {
		return ErrGone // and another process has begun since
	}
	return fmt.Errorf("pid %d lives, and /proc does not show it (mount option hidepid; it may be another user's by now): %w", pid, errors.ErrUnsupported)
}

// proves returns err, which reading /proc has given, as an error that cannot be taken
// for "no such process": it wraps errors.ErrUnsupported where /proc does not show what
// a proof needs.
func proves(err error) error {
	for _, missing := range []error{fs.ErrNotExist, fs.ErrPermission, unix.ENOTDIR, unix.EINVAL} {
		if errors.Is(err, missing) {
			return fmt.Errorf("without /proc processes cannot be told apart (%v): %w", err, errors.ErrUnsupported)
		}
	}
	return err
}

// A herePlace is where this process runs, which does not change.
type herePlace struct {
	boot, namespace string // the namespace is that of the pids, and of the time if it is apart
	offset          int64  // of the clock that /proc shows us, in kernel ticks
}

// startOf returns when the process of st started, by the machine's clock.
func (h *herePlace) startOf(st Stat) uint64 { return st.Start - uint64(h.offset) }

// knownPlace is where this process runs, once that could be found out.
var knownPlace atomic.Pointer[herePlace]

// here returns the boot id and the pid namespace. What keeps it from that once,
// the limit on descriptors for instance, need not be so the next time.
func here() (boot, namespace string, err error) {
	h, err := place()
	if err != nil {
		return "", "", err
	}
	return h.boot, h.namespace, nil
}

func place() (*herePlace, error) {
	if h := knownPlace.Load(); h != nil {
		return h, nil
	}
	h, err := findPlace()
	if err != nil {
		return nil, proves(err)
	}
	knownPlace.Store(h)
	return h, nil
}

func findPlace() (*herePlace, error) {
	const bootID = "/proc/sys/kernel/random/boot_id"
	data, err := readWhole(bootID)
	if err != nil {
		return nil, err
	}
	if len(data) == 0 {
		return nil, fmt.Errorf("%s is masked: %w", bootID, errors.ErrUnsupported)
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
	offset, apart, err := findOffset()
	if err != nil {
		return nil, err
	}
	return &herePlace{strings.TrimSpace(string(data)), namespace + apart, offset}, nil
}

// findOffset returns how many kernel ticks the kernel adds, for a reader in this time
// namespace, to the starts in /proc/PID/stat (time_namespaces(7)). An offset that is
// no whole number of ticks, as CRIU may set one, is rounded: then a start read here
// and one read in another time namespace may differ by a tick, and nobody can tell whether
// they are of one process. So apart is the name of the time namespace there, as of one in which
// pids mean something else. Otherwise it is empty.
func findOffset() (ticks int64, apart string, err error) {
	const initial = "time:[4026531834]" // PROC_TIME_INIT_INO, the namespace that has no offset
	own, err := os.Readlink("/proc/self/ns/time")
	if errors.Is(err, fs.ErrNotExist) || own == initial { // there is none before Linux 5.6
		return 0, "", nil
	}
	if err != nil {
		return 0, "", err
	}
	// The offsets are those of the namespace that our children get.
	children, err := os.Readlink("/proc/self/ns/time_for_children")
	if err != nil {
		return 0, "", err
	}
	if children != own {
		return 0, "", fmt.Errorf("this process is in %s and its children are in %s: when a process started cannot be told: %w", own, children, errors.ErrUnsupported)
	}
	data, err := os.ReadFile("/proc/self/timens_offsets")
	if err != nil {
		return 0, "", err
	}
	ticks, whole, err := boottimeTicks(string(data))
	if !whole {
		apart = " " + own
	}
	return ticks, apart, err
}

// boottimeTicks returns the offset of boottime in the text of timens_offsets, in ticks, and
// whether it is a whole number of them.
func boottimeTicks(offsets string) (ticks int64, whole bool, err error) {
	const tick = int64(10 * time.Millisecond) // USER_HZ is 100 on all that Go runs on
	for line := range strings.Lines(offsets) {
		var sec, nsec int64
		if n, _ := fmt.Sscanf(line, "boottime %d %d", &sec, &nsec); n == 2 {
			return sec*(int64(time.Second)/tick) + nsec/tick, nsec%tick == 0, nil
		}
	}
	return 0, false, fmt.Errorf("/proc/self/timens_offsets names no boottime: %q", offsets)
}
