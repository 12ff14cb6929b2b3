//go:build linux

package onepod_test

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/podlaunch/podlaunch/launcher"
	"github.com/podlaunch/podlaunch/launcher/internal/leaktest"
	"github.com/podlaunch/podlaunch/launcher/internal/osproc"
	"github.com/podlaunch/podlaunch/launcher/internal/podrig"
)

var stormSeed = flag.Uint64("storm-seed", 0, "whom TestStorm kills, and when; 0: another each time")

// D13, D14, D15: many processes, with many goroutines each, ask for one name at
// once, and some of the processes are killed while they do. There are never two
// pods, no pod loses its socket, and all who live to tell have the same pid, or
// an *Error. The pod ends between the rounds, in some of them by SIGKILL, so that
// all rounds but the first find the record of the one before. In full, with 20
// processes of 16 goroutines for 20 rounds:
//
//	go test ./launcher/internal/onepod -run TestStorm -soak -v
func TestStorm(t *testing.T) {
	leaktest.Parallel(t)
	if testing.Short() {
		t.Skip("skipped with -short: it is a storm of launchers")
	}
	processes, goroutines, rounds := 4, 8, 5
	if *podrig.Soak {
		processes, goroutines, rounds = 20, 16, 20
	}
	seed := *stormSeed
	if seed == 0 {
		seed = rand.Uint64()
	}
	t.Logf("-storm-seed %d", seed)
	s := &storm{
		rig:    newRig(t, podrig.Serve...),
		many:   goroutines,
		askers: make([]*asker, processes),
		random: rand.New(rand.NewPCG(seed, 0)),
		last:   10 * time.Millisecond,
		errors: make(map[string]int),
	}
	for n := range rounds {
		s.round(n)
	}
	for _, a := range s.askers {
		if a != nil {
			a.end(t)
		}
	}
	t.Logf("%d answers; %d askers killed, %d of them when the pod that they had started was seen; %d pods killed; errors: %v", s.answers, s.killed, s.orphans, s.deaths, s.errors)
	if s.killed == 0 || s.answers == 0 {
		t.Error("that was no storm")
	}
}

// stormName is the name that all ask for.
const stormName = "alice"

// An answer is what one goroutine of an asker got.
type answer struct {
	Last    bool   `json:",omitempty"` // it is none: the asker has given all its answers
	PID     int    `json:",omitempty"`
	Started bool   `json:",omitempty"`
	Err     string `json:",omitempty"`
	Fault   string `json:",omitempty"` // what must not happen
}

// askOften is an asker. For each number on its stdin that many goroutines ask
// for the pod at once, and their answers go to stdout.
func askOften(l launcher.Launcher, r role) error {
	in, out := json.NewDecoder(os.Stdin), json.NewEncoder(os.Stdout)
	for {
		var many int
		if err := in.Decode(&many); err != nil {
			if errors.Is(err, io.EOF) {
				return nil
			}
			return err
		}
		answers := make(chan answer)
		for range many {
			go func() { answers <- ask(l, r.Name) }()
		}
		for range many {
			if err := out.Encode(<-answers); err != nil {
				return err
			}
		}
		if err := out.Encode(answer{Last: true}); err != nil {
			return err
		}
	}
}

func ask(l launcher.Launcher, name string) answer {
	ctx, cancel := context.WithTimeout(context.Background(), podrig.Ample)
	defer cancel()
	pod, started, err := l.Ensure(ctx, launcher.Spec{Name: name})
	if err != nil {
		a := answer{Err: err.Error()}
		if _, ok := err.(*launcher.Error); !ok {
			a.Fault = fmt.Sprintf("the error is a %T", err)
		}
		return a
	}
	defer pod.Release()
	a := answer{PID: pod.PID(), Started: started}
	if err := answers(ctx, pod); err != nil {
		a.Fault = fmt.Sprintf("pid %d, started %v: %v", a.PID, started, err)
	}
	return a
}

// A storm is askers and who kills them.
type storm struct {
	*rig
	many   int           // goroutines of an asker
	askers []*asker      // nil: to be started
	last   time.Duration // the last round took so long; kills come within that

	mu      sync.Mutex
	random  *rand.Rand
	asking  bool // a round is going on
	killed  int  // askers
	orphans int  // pods whose launcher was killed as soon as they were seen
	deaths  int  // pods that were killed
	answers int
	errors  map[string]int
}

// An asker is a process that plays askOften.
type asker struct {
	cmd *exec.Cmd
	in  io.WriteCloser
	out *bufio.Reader

	spared, killed bool // guarded by storm.mu
}

func (s *storm) newAsker() *asker {
	s.T.Helper()
	r := role{Play: "askOften", Base: s.Base, Name: stormName, Pod: podrig.Pod, Steps: podrig.Serve}
	a := &asker{cmd: exec.Command(os.Args[0])}
	a.cmd.Env, a.cmd.Stderr = r.env(s.T), os.Stderr
	var err error
	if a.in, err = a.cmd.StdinPipe(); err != nil {
		s.T.Fatal(err)
	}
	out, err := a.cmd.StdoutPipe()
	if err != nil {
		s.T.Fatal(err)
	}
	a.out = bufio.NewReader(out)
	if err := a.cmd.Start(); err != nil {
		s.T.Fatal(err)
	}
	return a
}

// end ends an asker that has nothing to do.
func (a *asker) end(t *testing.T) {
	a.in.Close()
	if err := a.cmd.Wait(); err != nil {
		t.Errorf("an asker: %v", err)
	}
}

// ask has the asker ask, and returns its answers: fewer than it had to give if
// it was killed.
func (a *asker) ask(many int) ([]answer, error) {
	var all []answer
	if _, err := fmt.Fprintln(a.in, many); err != nil {
		return nil, nil // it was killed before it could read
	}
	for {
		line, err := a.out.ReadBytes('\n')
		if errors.Is(err, io.EOF) {
			return all, nil // of its last line there may be a part
		}
		var one answer
		if err == nil {
			err = json.Unmarshal(line, &one)
		}
		if err != nil || one.Last {
			return all, err
		}
		all = append(all, one)
	}
}

// round has all askers ask once, kills some of them, and ends the pod.
func (s *storm) round(n int) {
	for i, a := range s.askers {
		if a == nil {
			s.askers[i] = s.newAsker()
		}
	}
	began := time.Now()
	victims := s.begin()
	for _, a := range victims {
		delay := time.Duration(s.random.Int64N(int64(s.last)))
		defer time.AfterFunc(delay, func() { s.kill(a) }).Stop()
	}
	stop, watched := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(watched)
		s.watch(stop)
	}()
	got := s.ask()
	close(stop)
	<-watched
	s.last = time.Since(began)
	s.over()
	s.check(n, got)
}

// begin begins a round, and returns whom to kill in it. One asker is spared, so
// that somebody has an answer.
func (s *storm) begin() []*asker {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.asking = true
	order := s.random.Perm(len(s.askers))
	var victims []*asker
	for i, which := range order {
		s.askers[which].spared = i == 0
		if i > 0 {
			victims = append(victims, s.askers[which])
		}
	}
	return victims[:s.random.IntN(len(victims)+1)]
}

// over ends a round: from now on nobody is killed.
func (s *storm) over() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.asking = false
	for i, a := range s.askers {
		if a.killed {
			a.in.Close()
			a.cmd.Wait() // it was killed, which is an error
			s.askers[i] = nil
		}
	}
}

// kill kills an asker, and reports whether it was its turn.
func (s *storm) kill(a *asker) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.asking || a.spared || a.killed {
		return false
	}
	if err := a.cmd.Process.Kill(); err != nil {
		s.T.Errorf("kill an asker: %v", err)
	}
	a.killed = true
	s.killed++
	return true
}

// watch looks for pods until stop is closed. Two at once are a fault. At every second pod
// that it sees, watch kills the pod's launcher at once, if that is an asker that may be
// killed.
func (s *storm) watch(stop <-chan struct{}) {
	seen := make(map[int]bool)
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-stop:
			return
		case <-tick.C:
		}
		live := podrig.Alive(s.T, s.Dir(stormName))
		if len(live) > 1 {
			// The first may have ended before the second began, which was found
			// later. If both are still there, it has not.
			again := podrig.Alive(s.T, s.Dir(stormName))
			both := slices.DeleteFunc(live, func(pid int) bool { return !slices.Contains(again, pid) })
			if len(both) > 1 {
				s.T.Errorf("there were several pods at once: %v", both)
			}
		}
		for _, pid := range live {
			if seen[pid] {
				continue
			}
			seen[pid] = true
			if len(seen)%2 == 1 {
				s.orphan(pid)
			}
		}
	}
}

// orphan kills the asker that has launched a pod.
func (s *storm) orphan(pid int) {
	st, err := osproc.ReadStat(pid)
	if err != nil {
		return // it has just gone
	}
	for _, a := range s.askers {
		if a.cmd.Process.Pid == st.Parent && s.kill(a) {
			s.mu.Lock()
			s.orphans++
			s.mu.Unlock()
		}
	}
}

// ask has all askers ask at once, and returns all answers.
func (s *storm) ask() []answer {
	var wg sync.WaitGroup
	got := make([][]answer, len(s.askers))
	for i, a := range s.askers {
		wg.Go(func() {
			var err error
			if got[i], err = a.ask(s.many); err != nil {
				s.T.Errorf("an asker: %v", err)
			}
			s.mu.Lock()
			defer s.mu.Unlock()
			if len(got[i]) != s.many && !a.killed {
				s.T.Errorf("an asker gave %d answers, want %d", len(got[i]), s.many)
			}
		})
	}
	wg.Wait()
	return slices.Concat(got...)
}

// check makes sure that all answers of a round are about the one pod that there
// is now, and ends it.
func (s *storm) check(n int, got []answer) {
	pids, starts := make(map[int]int), 0
	for _, a := range got {
		s.answers++
		switch {
		case a.Fault != "":
			s.T.Errorf("round %d: %s", n, a.Fault)
		case a.Err != "":
			s.errors[a.Err]++
		default:
			pids[a.PID]++
		}
		if a.Started {
			starts++
		}
	}
	pod, started, err := s.L.Ensure(s.T.Context(), launcher.Spec{Name: stormName})
	if err != nil {
		s.T.Fatalf("round %d: the last Ensure: %v", n, err)
	}
	if len(pids) > 1 || starts > 1 || len(pids) == 1 && (pids[pod.PID()] == 0 || started) {
		s.T.Errorf("round %d: the askers got the pids %v and said %d times that they had started one; then there was %d (started anew: %v)", n, pids, starts, pod.PID(), started)
	}
	if err := answers(s.T.Context(), pod); err != nil {
		s.T.Errorf("round %d: %v", n, err)
	}
	if live := podrig.Alive(s.T, s.Dir(stormName)); !slices.Equal(live, []int{pod.PID()}) {
		s.T.Errorf("round %d: alive are %v, want %d alone", n, live, pod.PID())
	}
	kill := s.random.IntN(2) == 0
	if kill {
		s.deaths++
	}
	if err := end(s.T.Context(), pod, kill); err != nil {
		s.T.Errorf("round %d: %v", n, err)
	}
	if live := podrig.Alive(s.T, s.Dir(stormName)); len(live) > 0 {
		s.T.Errorf("round %d: when the pod had ended there were still %v", n, live)
	}
}
