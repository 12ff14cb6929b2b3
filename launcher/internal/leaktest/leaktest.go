// Package leaktest finds what a test has left behind: goroutines, descriptors,
// watches, children, zombies, and processes of the programs that the test starts,
// no matter which process is their parent by now.
package leaktest

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/podlaunch/podlaunch/launcher/internal/vfork"
	"github.com/podlaunch/podlaunch/runtimedir/conformance"
)

// patience is how long something may take to go away before it counts as left
// behind. It is a guard: what goes away does so in milliseconds. Tests set it.
var patience = 10 * time.Second

// TB is the part of testing.TB that Check uses, so that Check itself can be
// tested.
type TB interface {
	Helper()
	Cleanup(func())
	Errorf(format string, args ...any)
}

// Check makes the test fail if, when it ends, anything is there that is not
// there now. programs are paths of executables none of whose processes may be
// left. If tests run beside each other, [CheckShared] looks instead, when all of
// them have ended.
//
// The watcher that package logsource shares between launches is left alone,
// for it outlives its last user by a moment: see [CheckWatcher].
func Check(t TB, programs ...string) {
	t.Helper()
	if all.add(programs) {
		return
	}
	before := Take()
	t.Cleanup(func() {
		t.Helper()
		if left := before.Left(patience, programs...); left != nil {
			t.Errorf("left behind:\n%s", strings.Join(left, "\n"))
		}
	})
}

// Parallel has the test run beside others that call it, as its method Parallel does.
// Tests that must be alone in the process come before. With -parallel=1, or one
// processor, each test is alone, and checked by itself.
func Parallel(t interface{ Parallel() }) {
	t.Parallel()
	if flag.Lookup("test.parallel").Value.String() != "1" {
		all.share()
	}
}

// Shared reports whether tests run beside each other now.
func Shared() bool { return all.add(nil) }

// CheckShared returns an error if anything is left behind by the tests that have run
// beside each other. To be called when all tests of a program are over.
func CheckShared() error {
	all.mu.Lock()
	defer all.mu.Unlock()
	if all.before == nil {
		return nil
	}
	left := all.before.Left(patience, all.programs...)
	if left == nil {
		return nil
	}
	return fmt.Errorf("left behind by the parallel tests (-parallel=1 tells by which):\n%s", strings.Join(left, "\n"))
}

// all are the tests that run beside each other.
var all shared

type shared struct {
	mu       sync.Mutex
	before   *Snapshot // of when the first of them began; nil: each runs alone
	programs []string
}

func (s *shared) share() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.before == nil {
		s.before = Take()
	}
}

// add has programs looked for in the end, unless each test runs alone.
func (s *shared) add(programs []string) (isShared bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.before == nil {
		return false
	}
	s.programs = append(s.programs, programs...)
	return true
}

// A Snapshot is what there was at one time.
type Snapshot struct {
	conformance *conformance.Snapshot // goroutines and descriptors
	children    map[string]string
	watches     int
}

// Take takes a snapshot.
func Take() *Snapshot {
	return &Snapshot{
		conformance: conformance.Take(),
		children:    children(),
		watches:     watches(),
	}
}

// Left returns what is there now and was not when s was taken, a line each. It
// gives what is about to go away some time to do so.
func (s *Snapshot) Left(patience time.Duration, programs ...string) (left []string) {
	conformance.Eventually(patience, func() bool {
		left = s.conformance.Descriptors(0, append(kept(), watcher...)...)
		for child, state := range children() {
			if _, ok := s.children[child]; !ok {
				left = append(left, "child "+child+" state "+state)
			}
		}
		if n := watches(); n > s.watches {
			left = append(left, fmt.Sprintf("%d watches of files, and there were %d", n, s.watches))
		}
		left = append(left, running(programs)...)
		return left == nil
	})
	return append(left, s.conformance.Goroutines(patience, watcher...)...)
}

// Open returns what is open now below dir and was not when s was taken, a line each.
func (s *Snapshot) Open(dir string) []string {
	left := s.conformance.Descriptors(0)
	return slices.DeleteFunc(left, func(line string) bool { return !strings.Contains(line, dir+"/") })
}

// inotify is the end of the link of a descriptor that watches files.
const inotify = "anon_inode:inotify"

// watcher is what the shared watcher of package logsource consists of. It is
// closed a moment after its last watch has ended, and then the kernel waits for a
// grace period: CheckWatcher waits for all that.
var watcher = []string{
	inotify,
	"github.com/podlaunch/podlaunch/logsource.(*notifier).read",
	"github.com/podlaunch/podlaunch/logsource.(*hub).shut",
}

// kept is what the descriptors that package vfork keeps lead to.
func kept() (links []string) {
	for _, fd := range vfork.Kept() {
		if link, err := os.Readlink(fmt.Sprintf("/proc/self/fd/%d", fd)); err == nil {
			links = append(links, link)
		}
	}
	return links
}

// CheckWatcher returns an error if the shared watcher of package logsource does
// not go away. To be called when all tests of a program are over.
func CheckWatcher() error {
	var left []string
	if conformance.Eventually(patience, func() bool {
		left = slices.DeleteFunc(links("/proc/self/fd"), func(l string) bool { return !isWatcher(l) })
		return len(left) == 0
	}) {
		return nil
	}
	return fmt.Errorf("the file watcher was not closed: %v", left)
}

func isWatcher(link string) bool { return strings.HasSuffix(link, inotify) }

// watches counts what inotify descriptors watch (proc_pid_fdinfo(5)).
func watches() (n int) {
	for _, l := range links("/proc/self/fd") {
		if !isWatcher(l) {
			continue
		}
		fd, _, _ := strings.Cut(l, " ")
		info, err := os.ReadFile("/proc/self/fdinfo/" + fd)
		if err == nil { // else it was just closed
			n += strings.Count(string(info), "inotify wd:")
		}
	}
	return n
}

// links lists the symbolic links in dir and where they lead.
func links(dir string) []string {
	var found []string
	for _, name := range names(dir) {
		if target, err := os.Readlink(filepath.Join(dir, name)); err == nil && target != dir {
			found = append(found, name+" → "+target)
		}
	}
	// The directory was open while it was read.
	return slices.DeleteFunc(found, func(l string) bool {
		return strings.HasSuffix(l, "/proc/"+strconv.Itoa(os.Getpid())+"/fd")
	})
}

// children returns the processes whose parent this one is, zombies included,
// and their states. Each thread has a list of its own (proc_tid_children(5)).
func children() map[string]string {
	found := make(map[string]string)
	for _, task := range names("/proc/self/task") {
		list, err := os.ReadFile("/proc/self/task/" + task + "/children")
		if err != nil {
			continue // the thread has just ended
		}
		for _, pid := range strings.Fields(string(list)) {
			data, err := os.ReadFile("/proc/" + pid + "/stat")
			if err != nil {
				continue // it has just gone
			}
			end := strings.LastIndexByte(string(data), ')')
			state, _, _ := strings.Cut(string(data[end+2:]), " ")
			found[string(data[:end+1])] = state
		}
	}
	return found
}

// running lists the processes of programs.
func running(programs []string) []string {
	if len(programs) == 0 {
		return nil
	}
	var found []string
	for _, name := range names("/proc") {
		target, err := os.Readlink("/proc/" + name + "/exe")
		if err == nil && slices.Contains(programs, strings.TrimSuffix(target, " (deleted)")) {
			found = append(found, "process /proc/"+name+" of "+target)
		}
	}
	return found
}

// names lists dir, unsorted and without looking at the entries.
func names(dir string) []string {
	f, err := os.Open(dir)
	if err != nil {
		panic(err) // no Linux
	}
	defer f.Close()
	names, err := f.Readdirnames(-1)
	if err != nil {
		panic(err)
	}
	return names
}
