//go:build linux

package onepod_test

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"maps"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"text/tabwriter"

	"github.com/podlaunch/podlaunch/launcher"
	"github.com/podlaunch/podlaunch/launcher/internal/crashpoint"
	"github.com/podlaunch/podlaunch/launcher/internal/leaktest"
	"github.com/podlaunch/podlaunch/launcher/internal/podrig"
	"github.com/podlaunch/podlaunch/readiness"
	"github.com/podlaunch/podlaunch/runtimedir"
)

var crashpoints = flag.String("crashpoints", "", "at how many `points` TestCrashPoints kills a launcher, or \"all\"; default 1, and with -soak 100")

// A role is what this test binary plays when it is executed again, told in the
// environment.
type role struct {
	Play  string // a key of roles
	Base  string
	Name  string
	Pod   string   // the fake pod's binary
	Steps []string // its script
	Count int      // how many files or pods it makes

	Daemon bool // the pod goes to the background
}

const roleVariable = "PODLAUNCH_TEST_ROLE"

var roles = map[string]func(l launcher.Launcher, r role) error{
	"attach":    attachOnce,
	"ensure":    ensureOnce,
	"askOften":  askOften,
	"lockOften": lockOften,
	"relaunch":  relaunch,
	"private":   privateOnce,
}

func init() {
	text := os.Getenv(roleVariable)
	if text == "" {
		return
	}
	var r role
	err := json.Unmarshal([]byte(text), &r)
	if err == nil {
		podrig.Pod = r.Pod
		l := launcher.Launcher{
			Command: podrig.Script(r.Steps...),
			Dir:     runtimedir.Dir(r.Base),
			Timeout: podrig.Ample,
		}
		if r.Daemon {
			adopts(&l)
		}
		err = roles[r.Play](l, r)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(0)
}

// env is the environment that makes this test binary play r.
func (r role) env(t *testing.T) []string {
	t.Helper()
	text, err := json.Marshal(r)
	if err != nil {
		t.Fatal(err)
	}
	return append(os.Environ(), roleVariable+"="+string(text), "GORACE=atexit_sleep_ms=0")
}

// adopts makes the pods of l daemons, which go to the background.
func adopts(l *launcher.Launcher) {
	behind(l, `setsid "$0" "$@" & echo $! >"$POD_RUNTIME_DIR/pid"; exit 0`)
	l.Ready = readiness.Sequence{readiness.PIDFile{Path: "pid"}, readiness.Unix{}}
}

// ensureOnce is the launcher that is killed.
func ensureOnce(l launcher.Launcher, r role) error {
	crashpoint.Begin()
	pod, _, err := l.Ensure(context.Background(), launcher.Spec{Name: r.Name})
	crashpoint.End()
	if err == nil {
		pod.Release()
	}
	return err
}

// D8, D9: wherever a launcher is killed, at the entry or the exit of any system
// call of any of its threads, or of the child that it has forked before that
// comes to its exec, the next Ensure has a pod that is ready, and it is the only
// one.
//
// The points are spread evenly over a whole Ensure. All of them, with a table of
// what came of each kind, take some minutes:
//
//	go test ./launcher/internal/onepod -run TestCrashPoints -crashpoints all -timeout 1h -v
//
// A launch makes its calls in another order each time, and the runtime's own
// threads add some, so that a point is not the same one in two runs. The sweeps
// of changes and of held children are about fewer calls, in an order that hardly
// varies, and with -soak they always try all of their points.
func TestCrashPoints(t *testing.T) {
	if testing.Short() {
		t.Skip("skipped with -short: it kills a launcher at many points")
	}
	for _, s := range []*sweep{
		{name: "prompt", steps: podrig.Serve},
		{name: "late", steps: []string{"ready", "sleep 20ms", "listen", "hang"}, thin: 4}, // it binds late
		{name: "twice", steps: podrig.Serve, twice: true, thin: 4},
		{name: "changes", steps: podrig.Serve, only: changes},
		{name: "held", steps: podrig.Serve, only: forked, held: true},
		{name: "relaunch", steps: podrig.Serve, old: true, thin: 4},
		{name: "relaunch changes", steps: podrig.Serve, only: changes, old: true},
		{name: "daemon", steps: []string{"listen", "hang"}, daemon: true, thin: 4},
		{name: "daemon changes", steps: []string{"listen", "hang"}, daemon: true, only: writes},
	} {
		t.Run(s.name, func(t *testing.T) {
			s.rig = newRig(t, s.steps...)
			if s.daemon {
				adopts(&s.L)
			}
			s.run()
		})
	}
}

// D30: if the launch lock of a launcher is deleted while it launches, another launcher
// does not take it for dead. The other launcher ends neither it nor its pod; it waits,
// and has the same pod in the end.
func TestLaunchLockDeleted(t *testing.T) {
	leaktest.Parallel(t)
	if testing.Short() {
		t.Skip("skipped with -short: a launcher waits in vain, until its deadline")
	}
	for _, other := range []string{"none", "alice.json"} {
		t.Run("and "+other, func(t *testing.T) {
			r := newRig(t, podrig.Serve...)
			up, gate := r.Fifo("up"), r.Fifo("gate")
			play := role{Play: "ensure", Base: r.Base, Name: "alice", Pod: podrig.Pod,
				Steps: []string{"notify " + up, "await " + gate, "listen", "ready", "hang"}}
			first := exec.Command(os.Args[0])
			first.Env, first.Stderr = play.env(t), os.Stderr
			if err := first.Start(); err != nil {
				t.Fatal(err)
			}
			if _, err := os.ReadFile(up); err != nil { // until the pod is there
				t.Fatal(err)
			}
			if err := os.Remove(filepath.Join(r.Base, ".alice.launch")); err != nil {
				t.Fatal(err)
			}
			// It may not have been written yet.
			if err := os.Remove(filepath.Join(r.Base, "."+other)); err != nil && !errors.Is(err, fs.ErrNotExist) {
				t.Fatal(err)
			}
			_, _, err := r.Impatient().Ensure(t.Context(), launcher.Spec{Name: "alice"})
			if !errors.Is(err, launcher.ErrHeld) {
				first.Process.Kill()
				t.Errorf("another launcher got %v; the first: %v", err, first.Wait())
				for _, pid := range podrig.Alive(t, r.Dir("alice")) {
					syscall.Kill(pid, syscall.SIGKILL)
				}
				return
			}
			podrig.Wake(t, gate)
			if err := first.Wait(); err != nil {
				t.Fatalf("the first launcher: %v", err)
			}
			pod, started, err := r.L.Ensure(t.Context(), launcher.Spec{Name: "alice"})
			if err != nil {
				t.Fatal(err)
			}
			if started {
				t.Error("the pod of the first launcher is not there")
			}
			if err := pod.Stop(t.Context()); err != nil {
				t.Error(err)
			}
		})
	}
}

// changes reports whether a point is at a call that changes what others can see, or at a
// call of the forked child. It leaves out the many calls that reset the child's signals
// and close its descriptors. These points come in much the same order each time, and so
// the test can try all of them. A hundred points out of all the others can miss the point
// that matters.
func changes(p crashpoint.Point) bool {
	switch p.Call {
	case "chdir", "clone", "connect", "dup3", "execve", "flock", "linkat", "mkdirat",
		"openat", "renameat", "renameat2", "setsid", "unlinkat", "write":
		return true
	case "close":
		return !p.Child
	}
	return p.Where == "child"
}

// writes are the points of changes but those at which files are opened and closed: who looks
// for a process to adopt does that very often.
func writes(p crashpoint.Point) bool { return changes(p) && p.Call != "openat" && p.Call != "close" }

// forked are the points of changes at which there is a child that has not come
// to its exec.
func forked(p crashpoint.Point) bool {
	return p.Where == "child" || p.Child && changes(p)
}

// A sweep kills launchers at many points, each in a launch of a name of its own.
type sweep struct {
	*rig
	name   string
	steps  []string
	twice  bool                        // the second launcher is killed, too, at a point drawn at random
	only   func(crashpoint.Point) bool // if not nil: all of these points, and no other
	thin   int                         // if not 0, the sample of -soak is smaller by this
	held   bool                        // another comes while the forked child is kept from its exec
	old    bool                        // the name has the record of a pod that has ended
	daemon bool                        // the pod goes to the background
	total  int                         // points of a launch that nobody disturbs, roughly

	mu       sync.Mutex
	outcomes map[crashpoint.Point]*outcome
	missed   int // points that no launch came to
	last     int // the highest number of a point that there was
}

// An outcome is what came of a kind of points, in numbers.
type outcome struct{ started, found, failed int }

func (s *sweep) run() {
	s.outcomes = make(map[crashpoint.Point]*outcome)
	launches := 1
	if *podrig.Soak || *crashpoints != "" {
		launches = 3 // so that the points are spread over the longest of them
	}
	for i := range launches {
		s.total = max(s.total, s.try(fmt.Sprintf("whole%d", i), 0).Points)
	}
	points := make(chan int)
	var workers sync.WaitGroup
	for range 2 {
		workers.Go(func() {
			for n := range points {
				s.tryLike(n)
			}
		})
	}
	tried := s.feed(points)
	workers.Wait()
	s.T.Logf("a launch has about %d points; tried %d, of which %d were beyond the end\n%s", s.total, tried, s.missed, s.table())
	if s.last == 0 || s.only == nil && s.missed > tried/2 {
		s.T.Error("most launches were not killed at all")
	}
}

// whole says that all points are tried, and not a sample.
func (s *sweep) whole() bool { return *crashpoints == "all" || s.only != nil && *podrig.Soak }

// feed sends the numbers of the points to try, and returns how many they were.
func (s *sweep) feed(points chan<- int) (tried int) {
	defer close(points)
	if s.whole() {
		for n := 1; n <= s.highest()+10; n++ {
			points <- n
			tried++
		}
		return tried
	}
	count := 1
	if *podrig.Soak {
		count = 100 / max(1, s.thin)
	}
	if *crashpoints != "" {
		var err error
		if count, err = strconv.Atoi(*crashpoints); err != nil || count < 1 {
			s.T.Errorf("-crashpoints %s: want a number or \"all\"", *crashpoints)
		}
	}
	for i := range count {
		points <- 1 + i*s.total/count
		tried++
	}
	return tried
}

// highest is the highest number of a point at which a launcher was killed.
// Launches are not all of the same length.
func (s *sweep) highest() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.last
}

// tryLike kills a launcher at its nth point. If n is of a sample, and the launch was over before
// that, it tries the same part of a launch as long as that one: a launch whose pod goes to the
// background looks for the pod as long as that takes, and has ten times as many points on a busy
// machine.
func (s *sweep) tryLike(n int) {
	r := s.try(fmt.Sprintf("p%d", n), n)
	for again := 1; !r.Killed && !s.whole() && again <= 3; again++ {
		r = s.try(fmt.Sprintf("p%d-%d", n, again), 1+(n-1)*r.Points/max(1, s.total))
	}
	if !r.Killed {
		s.mu.Lock()
		s.missed++
		s.mu.Unlock()
	}
}

// try kills a launcher of name at its nth point, or not at all if n is 0, and
// makes sure that the next one has the pod.
func (s *sweep) try(name string, n int) crashpoint.Result {
	var (
		errs  []error
		early *launcher.Pod
		held  func()
	)
	if s.held {
		held = func() {
			pod, err := s.disturb(name)
			early, errs = pod, append(errs, err)
		}
	}
	if s.old {
		errs = append(errs, s.age(name, n%2 == 0))
	}
	first, err := s.crash(name, n, held)
	errs = append(errs, err)
	if s.twice && first.Killed {
		random := rand.New(rand.NewPCG(1, uint64(n)))
		second, err := s.crash(name, 1+random.IntN(s.total), nil)
		if err != nil {
			err = fmt.Errorf("the second launcher (killed at point %d, %v): %w", second.Points, second.At, err)
		}
		errs = append(errs, err)
	}
	pod, started, err := s.L.Ensure(s.T.Context(), launcher.Spec{Name: name})
	errs = append(errs, s.check(name, pod, err))
	if err = errors.Join(errs...); err != nil {
		s.T.Errorf("launcher killed at point %d (%v): %v", n, first.At, err)
		s.clear(name)
	}
	if early != nil {
		<-early.Done()
	}
	if first.Killed {
		s.note(first, started, err != nil)
	}
	return first
}

// age launches a pod, and ends it, so that its record is there. SIGKILL leaves the
// socket, too.
func (s *sweep) age(name string, kill bool) error {
	pod, err := s.L.Launch(s.T.Context(), launcher.Spec{Name: name})
	if err != nil {
		return fmt.Errorf("the launch before: %w", err)
	}
	if err := end(s.T.Context(), pod, kill); err != nil {
		return fmt.Errorf("the pod before: %w", err)
	}
	record, err := os.ReadFile(s.Beside(name, ".json"))
	if err == nil && !strings.Contains(string(record), `"ready":true`) {
		err = fmt.Errorf("the record of the pod before: %s", record)
	}
	return err
}

// disturb is another launcher, which is not patient enough to wait until the
// child of the dead one, which still holds all that its parent held, has come to
// its exec. It may have the pod, or an *Error.
func (s *sweep) disturb(name string) (*launcher.Pod, error) {
	l := s.L
	l.Timeout = podrig.Short
	pod, _, err := l.Ensure(s.T.Context(), launcher.Spec{Name: name})
	if _, ok := err.(*launcher.Error); err != nil && !ok {
		return nil, fmt.Errorf("while the child was held the error was a %T: %w", err, err)
	}
	return pod, nil
}

// crash runs a launcher in a process of its own, to its nth point.
func (s *sweep) crash(name string, n int, held func()) (crashpoint.Result, error) {
	r := role{Play: "ensure", Base: s.Base, Name: name, Pod: podrig.Pod, Steps: s.steps, Daemon: s.daemon}
	result, err := crashpoint.Run(crashpoint.Program{
		Path:   os.Args[0],
		Env:    r.env(s.T),
		Stderr: os.Stderr,
		Count:  s.only,
		Held:   held,
	}, n)
	if err == nil && !result.Killed && result.Status != 0 {
		err = fmt.Errorf("the launcher, which was not killed, has failed: %#x", result.Status)
	}
	return result, err
}

// check makes sure that pod, which Ensure has returned with err, answers, and
// that it is the only one, and stops it.
func (s *sweep) check(name string, pod *launcher.Pod, err error) error {
	if err != nil {
		return fmt.Errorf("the next Ensure: %w", err)
	}
	ctx := s.T.Context()
	err = answers(ctx, pod)
	if live := podrig.Alive(s.T, s.Dir(name)); !slices.Equal(live, []int{pod.PID()}) {
		err = errors.Join(err, fmt.Errorf("alive are %v, and Ensure said %d", live, pod.PID()))
	}
	err = errors.Join(err, pod.Stop(ctx))
	if live := podrig.Alive(s.T, s.Dir(name)); len(live) > 0 {
		err = errors.Join(err, fmt.Errorf("when it was stopped there were still %v", live))
	}
	return err
}

// clear ends what a launcher has left behind that has failed, so that the other
// points can be tried.
func (s *sweep) clear(name string) {
	for _, pid := range podrig.Alive(s.T, s.Dir(name)) {
		syscall.Kill(pid, syscall.SIGKILL)
	}
}

// note counts what came of a point.
func (s *sweep) note(r crashpoint.Result, started, failed bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.last = max(s.last, r.Points)
	o := s.outcomes[r.At]
	if o == nil {
		o = &outcome{}
		s.outcomes[r.At] = o
	}
	switch {
	case failed:
		o.failed++
	case started:
		o.started++
	default:
		o.found++
	}
}

// table shows what came of the points.
func (s *sweep) table() string {
	points := slices.SortedFunc(maps.Keys(s.outcomes), func(a, b crashpoint.Point) int { return strings.Compare(a.String(), b.String()) })
	var sum outcome
	var text strings.Builder
	w := tabwriter.NewWriter(&text, 0, 0, 2, ' ', tabwriter.AlignRight)
	row := func(what string, o outcome) {
		fmt.Fprintf(w, "%s\t%d\t%d\t%d\t%d\t\n", what, o.started+o.found+o.failed, o.started, o.found, o.failed)
	}
	fmt.Fprintln(w, "killed at\tpoints\tstarted anew\tfound running\tFAILED\t")
	for _, p := range points {
		o := *s.outcomes[p]
		row(p.String(), o)
		sum.started, sum.found, sum.failed = sum.started+o.started, sum.found+o.found, sum.failed+o.failed
	}
	row("all", sum)
	w.Flush()
	return text.String()
}

// end ends a pod: as its launcher does, or with SIGKILL, as anybody may.
func end(ctx context.Context, pod *launcher.Pod, kill bool) error {
	if !kill {
		return pod.Stop(ctx)
	}
	if err := syscall.Kill(pod.PID(), syscall.SIGKILL); err != nil {
		return err
	}
	_, err := pod.Wait(ctx)
	return err
}

// answers has the pod answer a request over its socket.
func answers(ctx context.Context, pod *launcher.Pod) error { return podrig.Answers(ctx, pod) }
