//go:build linux

package onepod_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/podlaunch/podlaunch/launcher"
	"github.com/podlaunch/podlaunch/launcher/internal/leaktest"
	"github.com/podlaunch/podlaunch/launcher/internal/podrig"
	"github.com/podlaunch/podlaunch/readiness"
)

// A relaunch beside strangers may take this many times as long as alone.
const besideStrangers = 1.2

// To launch a name whose pod has ended takes no longer beside ten thousand flock(2)
// locks of other processes, a thousand of them in the base directory, and beside a
// thousand children that the program has launched and released. Without -soak it is a
// tenth of that. The locks are another user's if the tests run as root.
//
// Two programs relaunch in turns. One has the children, and the locks are held in its
// turns alone. Each pair of turns makes a ratio, and their median counts: what else the
// machine does makes some pairs longer, and a mistake all of them. If the median is too
// high there are more turns.
//
// The children are on the machine in the turns of both. That a launch does not look at
// the processes of the machine is what TestSystemCalls in package ownership is about.
func TestRelaunchBesideStrangers(t *testing.T) {
	leaktest.Parallel(t)
	if testing.Short() {
		t.Skip("skipped with -short: it compares how long relaunches take, and makes a thousand locks")
	}
	const strangers = 20 // that share the locks: many systems allow a process 1024 descriptors
	files, kin := podrig.Size(t, 50, 50, 500), podrig.Size(t, 100, 100, 1000)
	turns := podrig.Size(t, 20, 20, 50)
	r := newRig(t, podrig.Serve...)
	alone, beside := r.subdirectory("alone"), r.subdirectory("beside")
	others := make([]*servant, strangers)
	for i := range others {
		base := beside
		if i >= strangers/10 {
			base = r.subdirectory(fmt.Sprintf("strangers%d", i))
		}
		others[i] = newServant(t, role{Play: "lockOften", Base: base, Name: fmt.Sprintf("stranger%d", i), Count: files})
	}
	var busy time.Duration
	if *podrig.Soak {
		busy = r.busy()
	}
	play := role{Play: "relaunch", Name: "alice", Pod: podrig.Pod, Steps: podrig.Serve, Base: alone}
	c := &comparison{others: others, alone: newServant(t, play)}
	play.Base, play.Count = beside, kin
	c.beside = newServant(t, play)
	for len(c.ratios) < turns || c.ratio() > besideStrangers && len(c.ratios) < 3*turns {
		c.turn()
	}
	t.Logf("%d locks, %d children: the fastest relaunch takes %v alone, %v beside them; %.2f times as long in the median of %d turns",
		strangers*files, kin, c.fastAlone, c.fastBeside, c.ratio(), len(c.ratios))
	if c.ratio() > besideStrangers {
		t.Errorf("a relaunch takes %.2f times as long beside strangers and children as alone, %.2f are allowed", c.ratio(), besideStrangers)
	}
	if *podrig.Soak { // nothing bounds it: the launch looks for who holds the name
		tellAll(others, 1)
		t.Logf("a name that is held is refused after %v alone, %v beside them", busy, r.busy())
	}
}

// A comparison is of two programs that relaunch.
type comparison struct {
	alone, beside *servant
	others        []*servant // the strangers

	fastAlone, fastBeside time.Duration // the fastest launch of all turns
	ratios                []float64     // of the fastest launches of each turn, in order
}

// turn has both programs relaunch a few times.
func (c *comparison) turn() {
	const launches = 5
	tellAll(c.others, 1)
	beside := slices.Min(tell[[]time.Duration](c.beside, launches))
	tellAll(c.others, 0)
	alone := slices.Min(tell[[]time.Duration](c.alone, launches))
	if len(c.ratios) == 0 {
		c.fastAlone, c.fastBeside = alone, beside
	}
	c.fastAlone, c.fastBeside = min(c.fastAlone, alone), min(c.fastBeside, beside)
	c.ratios = append(c.ratios, float64(beside)/float64(alone))
	slices.Sort(c.ratios)
}

// ratio is the median.
func (c *comparison) ratio() float64 { return c.ratios[len(c.ratios)/2] }

// subdirectory makes a directory below the base of the rig. Another user may reach
// what is in it from there.
func (r *rig) subdirectory(name string) string {
	r.T.Helper()
	dir := r.Dir(name)
	if err := os.Mkdir(dir, 0o755); err != nil {
		r.T.Fatal(err)
	}
	return dir
}

// busy returns how long a launch takes until it fails because a process without a record
// holds the name. The launch looks in /proc again and again for who holds it.
func (r *rig) busy() time.Duration {
	r.T.Helper()
	pod, err := r.L.Launch(r.T.Context(), podrig.Alice)
	if err == nil {
		err = os.Remove(r.Beside("alice", ".json"))
	}
	if err != nil {
		r.T.Fatal(err)
	}
	began := time.Now()
	_, err = r.L.Launch(r.T.Context(), podrig.Alice)
	took := time.Since(began)
	podrig.MustBe(r.T, err, launcher.ErrHeld)
	if err := pod.Stop(r.T.Context()); err != nil {
		r.T.Error(err)
	}
	return took
}

// A servant is a process that plays a role with [serve].
type servant struct {
	t   *testing.T
	in  *json.Encoder
	out *json.Decoder
}

// newServant starts a servant. It ends when the test does.
func newServant(t *testing.T, r role) *servant {
	t.Helper()
	c := exec.Command(os.Args[0])
	c.Env, c.Stderr = r.env(t), os.Stderr
	in, err := c.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := c.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		in.Close()
		if err := c.Wait(); err != nil {
			t.Errorf("%s: %v", r.Play, err)
		}
	})
	return &servant{t, json.NewEncoder(in), json.NewDecoder(out)}
}

// serve calls do with each number on stdin, and writes the answers to stdout.
func serve[A any](do func(n int) (A, error)) error {
	in, out := json.NewDecoder(os.Stdin), json.NewEncoder(os.Stdout)
	for {
		var n int
		err := in.Decode(&n)
		if errors.Is(err, io.EOF) {
			return nil
		}
		var a A
		if err == nil {
			a, err = do(n)
		}
		if err == nil {
			err = out.Encode(a)
		}
		if err != nil {
			return err
		}
	}
}

// tell has a servant do something, and returns its answer.
func tell[A any](s *servant, n int) (a A) {
	s.t.Helper()
	if err := errors.Join(s.in.Encode(n), s.out.Decode(&a)); err != nil {
		s.t.Fatal(err)
	}
	return a
}

// tellAll has all servants do something at once.
func tellAll(all []*servant, n int) {
	for _, s := range all {
		s.t.Helper()
		if err := s.in.Encode(n); err != nil {
			s.t.Fatal(err)
		}
	}
	for _, s := range all {
		var done bool
		if err := s.out.Decode(&done); err != nil {
			s.t.Fatal(err)
		}
	}
}

// lockOften is a stranger, of another user if it runs as root. For a 1 on its stdin it
// opens r.Count files of its own and locks them, for a 0 it closes them.
func lockOften(_ launcher.Launcher, r role) error {
	if err := os.Chdir(r.Base); err != nil {
		return err
	}
	names := make([]string, r.Count)
	for i := range names {
		names[i] = fmt.Sprintf("%s-%d.lock", r.Name, i)
		if i%2 == 0 {
			names[i] = "." + names[i]
		}
		if err := os.WriteFile(names[i], nil, 0o644); err != nil {
			return err
		}
	}
	const nobody = 65534
	if os.Geteuid() == 0 {
		if err := errors.Join(syscall.Setgid(nobody), syscall.Setuid(nobody)); err != nil {
			return err
		}
	}
	var held []int
	return serve(func(n int) (bool, error) {
		for _, fd := range held {
			unix.Close(fd)
		}
		held = held[:0]
		if n == 0 {
			return true, nil
		}
		for _, name := range names {
			fd, err := unix.Open(name, unix.O_RDONLY|unix.O_CLOEXEC, 0)
			if err != nil {
				return false, err
			}
			held = append(held, fd)
			if err := unix.Flock(fd, unix.LOCK_EX|unix.LOCK_NB); err != nil {
				return false, err
			}
		}
		return true, nil
	})
}

// relaunch launches r.Count pods, which end with this process, and releases them. Then
// it launches one name as often as its stdin says, and answers how long each launch
// took. Each time the pod of the launch before has ended, and its record is there.
func relaunch(l launcher.Launcher, r role) error {
	end, err := launchKin(l, r)
	if err != nil {
		return err
	}
	defer end()
	again := func() (time.Duration, error) {
		began := time.Now()
		pod, err := l.Launch(context.Background(), launcher.Spec{Name: r.Name})
		took := time.Since(began)
		if err == nil {
			err = pod.Stop(context.Background())
		}
		return took, err
	}
	if _, err := again(); err != nil {
		return err
	}
	return serve(func(n int) ([]time.Duration, error) {
		all := make([]time.Duration, n)
		for i := range all {
			if all[i], err = again(); err != nil {
				return nil, err
			}
		}
		return all, nil
	})
}

// launchKin launches r.Count pods that read a FIFO until end closes it, and releases
// them.
func launchKin(l launcher.Launcher, r role) (end func(), err error) {
	path := filepath.Join(r.Base, "gate")
	if err := unix.Mkfifo(path, 0o600); err != nil {
		return nil, err
	}
	gate, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return nil, err
	}
	l.Command = launcher.CommandResolverFunc(func(context.Context, launcher.Request) (launcher.Command, error) {
		return launcher.Command{Path: "/bin/cat", Args: []string{path}}, nil
	})
	l.Ready = readiness.ProbeFunc(func(context.Context, readiness.Target) (readiness.Endpoint, error) {
		return readiness.Endpoint{Network: "unix", Address: path}, nil
	})
	for i := range r.Count {
		pod, err := l.Launch(context.Background(), launcher.Spec{Name: fmt.Sprintf("kin%d", i)})
		if err != nil {
			gate.Close()
			return nil, err
		}
		pod.Release()
	}
	return func() { gate.Close() }, nil
}
