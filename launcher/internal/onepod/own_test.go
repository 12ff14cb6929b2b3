//go:build linux

package onepod_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/podlaunch/podlaunch/launcher"
	"github.com/podlaunch/podlaunch/launcher/internal/leaktest"
	"github.com/podlaunch/podlaunch/launcher/internal/podrig"
	"github.com/podlaunch/podlaunch/readiness"
	"github.com/podlaunch/podlaunch/runtimedir"
)

// TestWitnesses has a test for each row of the table in the documentation of
// package ownership, in its order.
func TestWitnesses(t *testing.T) {
	for _, row := range []struct {
		name string
		test func(t *testing.T)
	}{
		{"held, any, ready and alive", itRuns},
		{"any, held by another, any", itIsLaunched},
		{"held, free, not ready or none", itsLauncherDied},
		{"held, free, none", itsRecordIsGone},
		{"held, free, its process is gone", itsDescendantsLive},
		{"free, free, proven alive", itRunsWithoutLock},
		{"free, free, stale or none", nobodyHasIt},
	} {
		t.Run(row.name, row.test)
	}
}

// Row 1, and 23 of the port: a caller that asks for a pod that runs gets it, or an error
// that says who has the name and where the pod answers. A launch that is going on keeps
// no caller from it.
func itRuns(t *testing.T) {
	r := newRig(t, podrig.Serve...)
	pod := r.Launch(podrig.Alice)
	check := func() {
		t.Helper()
		e := r.MustRefuse(t.Context(), &r.L, launcher.ErrRunning)
		if e.PID != pod.PID() || e.Endpoint != pod.Endpoint() || e.LogPath != pod.LogPath() {
			t.Errorf("%+v", e)
		}
		same, started, err := r.L.Ensure(t.Context(), podrig.Alice)
		if err != nil || started || same.PID() != pod.PID() {
			t.Fatalf("Ensure returned %v, %v, %v", same, started, err)
		}
		same.Release()
		podrig.Ping(t, r.MustAttach(pod))
		if got := r.State(); got != launcher.StateReady {
			t.Errorf("List says %q", got)
		}
	}
	check()
	if _, err := r.Lock(".launch"); err != nil {
		t.Fatal(err)
	}
	check()
	podrig.Ping(t, pod)
}

// Row 2: while one caller launches the pod, all others wait for what comes of it, each
// within its own deadline.
func itIsLaunched(t *testing.T) {
	if testing.Short() {
		t.Skip("skipped with -short: a launcher waits in vain, until its deadline")
	}
	r := newRig(t)
	up, goOn := r.Fifo("up"), r.Fifo("go")
	r.L.Command = podrig.Script("notify "+up, "await "+goOn, "listen", "ready", "hang")
	launching := make(chan *launcher.Pod)
	go func() {
		pod, err := r.L.Launch(context.Background(), podrig.Alice)
		if err != nil {
			t.Error(err)
		}
		launching <- pod
	}()
	podrig.Await(t, up)

	// A caller whose deadline passes learns what it waited for.
	var wg sync.WaitGroup
	wg.Go(func() {
		podrig.MustSay(t, r.MustRefuse(t.Context(), r.Impatient(), launcher.ErrHeld, launcher.ErrTimeout), "is launching it")
	})
	wg.Go(func() {
		_, _, err := r.Impatient().Ensure(t.Context(), podrig.Alice)
		podrig.MustBe(t, err, launcher.ErrHeld, launcher.ErrTimeout)
	})
	wg.Go(func() {
		_, err := r.Impatient().Attach(t.Context(), "alice")
		podrig.MustBe(t, err, launcher.ErrTimeout, context.DeadlineExceeded)
	})
	wg.Wait()
	if got := r.State(); got != launcher.StateStarting {
		t.Errorf("List says %q", got)
	}

	// Who can gets the pod.
	got := make(chan *launcher.Pod, 2)
	wg.Go(func() {
		pod, err := r.L.Attach(t.Context(), "alice")
		if err != nil {
			t.Error(err)
		}
		got <- pod
	})
	wg.Go(func() {
		pod, started, err := r.L.Ensure(t.Context(), podrig.Alice)
		if err != nil || started {
			t.Errorf("Ensure returned %v, %v", started, err)
		}
		got <- pod
	})
	wg.Go(func() { r.MustRefuse(t.Context(), &r.L, launcher.ErrRunning) })
	podrig.Wake(t, goOn)
	first := <-launching
	wg.Wait()
	for range 2 {
		if pod := <-got; pod.PID() != first.PID() {
			t.Errorf("two pods: %d and %d", pod.PID(), first.PID())
		} else {
			pod.Release()
		}
	}
	if err := first.Stop(t.Context()); err != nil {
		t.Error(err)
	}
}

// Row 3: what is left by a launcher that died in the middle is no pod, and is
// ended by the next launch: the process that is recorded, or, where there is only
// the intent, who holds the lock.
func itsLauncherDied(t *testing.T) {
	for name, spoil := range map[string]func(m map[string]any){
		"not ready": func(m map[string]any) { m["ready"] = false },
		"intent": func(m map[string]any) {
			for _, field := range []string{"pid", "start", "boot", "pidNamespace", "ready"} {
				delete(m, field)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, podrig.Serve...)
			left := r.Launch(podrig.Alice)
			r.EditRecord(spoil)
			_, err := r.L.Attach(t.Context(), "alice")
			podrig.MustBe(t, err, fs.ErrNotExist)
			podrig.MustLive(t, left)
			pod, started, err := r.L.Ensure(t.Context(), podrig.Alice)
			if err != nil || !started {
				t.Fatalf("Ensure returned %v, %v, %v", pod, started, err)
			}
			podrig.MustEndBy(t, left, syscall.SIGKILL)
			podrig.Ping(t, pod)
			if err := pod.Stop(t.Context()); err != nil {
				t.Error(err)
			}
		})
	}
}

// Nobody ends a pod whose record was deleted. A launch of its name fails, and names the
// pod.
func itsRecordIsGone(t *testing.T) {
	r := newRig(t, podrig.Serve...)
	pod := r.Launch(podrig.Alice)
	if err := os.Remove(r.Beside("alice", ".json")); err != nil {
		t.Fatal(err)
	}
	e := r.MustRefuse(t.Context(), &r.L, launcher.ErrHeld)
	podrig.MustSay(t, e, fmt.Sprintf("[%d (pod)]", pod.PID()), "Launcher.Stop ends them")
	_, err := r.L.Attach(t.Context(), "alice")
	podrig.MustBe(t, err, launcher.ErrHeld)
	podrig.MustSay(t, err, fmt.Sprintf("attach alice: pod name is held: processes [%d (pod)]", pod.PID()))
	if errors.Is(err, fs.ErrNotExist) {
		t.Errorf("it may run, and Attach returned %v", err)
	}
	r.mustBeUnknown(r.Beside("alice", ".pod"), "Launcher.Stop ends them")
	podrig.Ping(t, pod)
	if err := pod.Stop(t.Context()); err != nil {
		t.Error(err)
	}
	r.Relaunch("alice")
}

// Row 4: descendants of a pod that was ready are not ours to end. They are named
// at once.
func itsDescendantsLive(t *testing.T) {
	r := newRig(t)
	pid, up, wake := filepath.Join(r.Base, "pid"), r.Fifo("up"), r.Fifo("wake")
	r.L.Command = podrig.Script("setsid pid "+pid+" ; notify "+up+" ; await "+wake, "await "+up, "listen", "ready", "hang")
	pod := r.Launch(podrig.Alice)
	podrig.Kill(t, pod)
	// Not only when there is no time any more.
	l := r.L
	l.Timeout = -1
	e := r.MustRefuse(t.Context(), &l, launcher.ErrHeld)
	podrig.MustSay(t, e, "["+readPID(t, pid)+" (pod)]", "left behind", "Launcher.Stop ends them", "Launcher.Reclaim")
	_, _, err := r.L.Ensure(t.Context(), podrig.Alice)
	podrig.MustBe(t, err, launcher.ErrHeld)
	_, err = r.L.Attach(t.Context(), "alice")
	podrig.MustBe(t, err, fs.ErrNotExist)
	if got := r.State(); got != launcher.StateGone {
		t.Errorf("List says %q", got)
	}
	podrig.Wake(t, wake) // it would block if its reader were dead
	r.RelaunchOnceFree("alice")
}

// readPID returns what the step "pid path" has written.
func readPID(t *testing.T, path string) string {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

// Row 5, C31: a pod that closes its descriptors has dropped its lock, and runs
// all the same, by its record.
func itRunsWithoutLock(t *testing.T) {
	r := newRig(t, "closefrom 3", "listen", "ready", "hang")
	pod := r.Launch(podrig.Alice)
	f, err := r.Lock(".pod")
	if err != nil {
		t.Fatalf("the pod has not dropped its lock: %v", err)
	}
	f.Close()
	if e := r.MustRefuse(t.Context(), &r.L, launcher.ErrRunning); e.PID != pod.PID() {
		t.Errorf("%+v", e)
	}
	same, started, err := r.L.Ensure(t.Context(), podrig.Alice)
	if err != nil || started || same.PID() != pod.PID() {
		t.Fatalf("Ensure returned %v, %v, %v", same, started, err)
	}
	same.Release()
	podrig.Ping(t, pod)
	if err := r.MustAttach(pod).Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	r.Relaunch("alice")
}

// Row 6: of a pod that has ended there is nothing in the way, and nothing to
// attach to.
func nobodyHasIt(t *testing.T) {
	r := newRig(t, podrig.Serve...)
	gone := func() {
		t.Helper()
		pod, err := r.L.Attach(t.Context(), "alice")
		podrig.MustBe(t, err, fs.ErrNotExist)
		if pod != nil || errors.Is(err, launcher.ErrNotOurs) {
			t.Errorf("Attach returned %v, %v", pod, err)
		}
	}
	gone()
	if got := r.State(); got != "" {
		t.Errorf("List says %q of a pod that never was", got)
	}
	for range 2 {
		pod, started, err := r.L.Ensure(t.Context(), podrig.Alice)
		if err != nil || !started {
			t.Fatalf("Ensure returned %v, %v, %v", pod, started, err)
		}
		if err := pod.Stop(t.Context()); err != nil {
			t.Fatal(err)
		}
		gone()
		if got := r.State(); got != launcher.StateGone {
			t.Errorf("List says %q", got)
		}
	}
}

// D13: however many goroutines ask at once, there is one pod, and one of them
// has started it.
func TestEnsure(t *testing.T) {
	r := newRig(t, podrig.Serve...)
	type answer struct {
		pod     *launcher.Pod
		started bool
	}
	answers := make(chan answer, 16)
	var wg sync.WaitGroup
	for range cap(answers) {
		wg.Go(func() {
			pod, started, err := r.L.Ensure(t.Context(), podrig.Alice)
			if err != nil {
				t.Error(err)
				return
			}
			answers <- answer{pod, started}
		})
	}
	wg.Wait()
	close(answers)
	pids := make(map[int]int)
	var started []*launcher.Pod
	for a := range answers {
		pids[a.pod.PID()]++
		if a.started {
			started = append(started, a.pod)
		} else {
			a.pod.Release()
		}
	}
	if len(pids) != 1 || len(started) != 1 {
		t.Errorf("pids %v, started %d times", pids, len(started))
	}
	for _, pod := range started {
		if err := pod.Stop(t.Context()); err != nil {
			t.Error(err)
		}
	}
}

// Attach while the launch fails: then there is no pod, and Attach says so.
func TestAttachToAFailure(t *testing.T) {
	r := newRig(t)
	up, goOn := r.Fifo("up"), r.Fifo("go")
	r.L.Command = podrig.Script("notify "+up, "await "+goOn, "exit 3")
	launching := make(chan error)
	go func() {
		_, err := r.L.Launch(context.Background(), podrig.Alice)
		launching <- err
	}()
	podrig.Await(t, up)
	attaching := make(chan error)
	go func() {
		_, err := r.L.Attach(context.Background(), "alice")
		attaching <- err
	}()
	podrig.Wake(t, goOn)
	podrig.MustBe(t, <-launching, launcher.ErrExitedEarly)
	podrig.MustBe(t, <-attaching, fs.ErrNotExist)
}

// To attach touches nothing that is not there, and takes no name that cannot be
// a pod's.
func TestAttachMakesNothing(t *testing.T) {
	r := newRig(t)
	_, err := r.L.Attach(t.Context(), "nobody")
	podrig.MustBe(t, err, fs.ErrNotExist)
	for _, name := range []string{"", "../alice", ".alice"} {
		_, err := r.L.Attach(t.Context(), name)
		podrig.MustBe(t, err, runtimedir.ErrInvalidName)
	}
	if entries, err := os.ReadDir(r.Base); err != nil || len(entries) > 0 {
		t.Errorf("there are %v, %v", entries, err)
	}
	r.L.Dir = runtimedir.Dir(filepath.Join(r.Base, "none"))
	_, err = r.L.Attach(t.Context(), "alice")
	podrig.MustBe(t, err, fs.ErrNotExist)
	for s, err := range r.L.List(t.Context()) {
		t.Errorf("List yields %v, %v", s, err)
	}
	if _, err := os.Lstat(string(r.L.Dir.(runtimedir.Dir))); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the base was made: %v", err)
	}
}

// C6, E3: if somebody answers on the socket who is not the pod, the pod is not
// taken for what it was; nobody is signalled. It can be attached to, and stopped.
func TestSquatter(t *testing.T) {
	leaktest.Parallel(t)
	r := newRig(t, podrig.Serve...)
	pod := r.Launch(podrig.Alice)
	path := pod.Endpoint().Address
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	r.L.Command = podrig.Script("listen "+path, "ready "+path, "hang")
	squatter := r.Launch(launcher.Spec{Name: "squatter"})
	podrig.MustBe(t, r.MustAttach(pod).Verify(t.Context()), launcher.ErrNotOurs, readiness.ErrForeignPeer)
	_, _, err := r.L.Ensure(t.Context(), podrig.Alice)
	podrig.MustBe(t, err, launcher.ErrNotOurs, readiness.ErrForeignPeer)
	if got := r.State(); got != launcher.StateUnreachable {
		t.Errorf("List says %q", got)
	}
	podrig.MustLive(t, pod)
	podrig.Ping(t, squatter)
	// Whom the launcher's probe lets answer may answer.
	l := r.L
	l.Ready = readiness.Sequence{readiness.ReadyLine{}, readiness.Socket{Peer: readiness.SameUser}}
	again, started, err := l.Ensure(t.Context(), podrig.Alice)
	if err != nil || started || again.PID() != pod.PID() {
		t.Fatalf("Ensure returned %v, %v, %v", again, started, err)
	}
	if err := again.Verify(t.Context()); err != nil {
		t.Error(err)
	}
	again.Release()
	if err := r.L.Stop(t.Context(), "alice"); err != nil {
		t.Error(err)
	}
	podrig.MustBeGone(t, pod.PID())
	podrig.Ping(t, squatter)
}

// A successor is a probe that finds a stranger on the socket of a pod that has just
// ended: it ends the pod, and then launches the next one of its name.
type successor struct {
	readiness.Probe
	once *sync.Once
	next func()
}

func (s successor) Verify(context.Context, readiness.Target) error {
	answers := error(nil)
	s.once.Do(func() {
		s.next()
		answers = readiness.ErrForeignPeer
	})
	return answers
}

// The pod that was recorded ends while its socket is asked who answers, and another
// caller launches its successor, which answers. That is no stranger: Ensure
// returns the successor.
func TestSuccessorIsNoStranger(t *testing.T) {
	r := newRig(t, podrig.Serve...)
	first := r.Launch(podrig.Alice)
	var second *launcher.Pod
	l := r.L
	l.Ready = successor{readiness.ReadyLine{}, new(sync.Once), func() {
		if err := first.Stop(t.Context()); err != nil {
			t.Error(err)
		}
		second = r.Launch(podrig.Alice)
	}}
	pod, _, err := l.Ensure(t.Context(), podrig.Alice)
	if err != nil {
		t.Fatal(err)
	}
	if pod.PID() != second.PID() {
		t.Errorf("it is pid %d, and the successor is %d", pod.PID(), second.PID())
	}
	if err := pod.Stop(t.Context()); err != nil {
		t.Error(err)
	}
}

// A Resolver that cannot tell its base has its pods locked beside their directories
// all the same. Only List needs more.
func TestWithoutBase(t *testing.T) {
	r := newRig(t, podrig.Serve...)
	r.L.Dir = runtimedir.ResolverFunc(runtimedir.Dir(r.Base).RuntimeDir)
	pod := r.Launch(podrig.Alice)
	podrig.MustBe(t, r.MustRefuse(t.Context(), &r.L, launcher.ErrRunning), launcher.ErrRunning)
	again, started, err := r.L.Ensure(t.Context(), podrig.Alice)
	if err != nil || started || again.PID() != pod.PID() {
		t.Fatalf("Ensure returned %v, %v, %v", again, started, err)
	}
	again.Release()
	podrig.Ping(t, r.MustAttach(pod))
	if _, err := os.Lstat(r.Beside("alice", ".pod")); err != nil {
		t.Errorf("the lock is not beside the directory: %v", err)
	}
	errs := 0
	for s, err := range r.L.List(t.Context()) {
		errs++
		if !errors.Is(err, errors.ErrUnsupported) || s.Name != "" {
			t.Errorf("List yields %v, %v", s, err)
		}
	}
	if errs != 1 {
		t.Errorf("List yields %d errors", errs)
	}
}

// The record tells who the pod is, and neither the overlay's text nor the
// environment.
func TestRecord(t *testing.T) {
	r := newRig(t)
	base := podrig.Script(podrig.Serve...)
	r.L.Command = launcher.CommandResolverFunc(func(ctx context.Context, req launcher.Request) (launcher.Command, error) {
		c, err := base.ResolveCommand(ctx, req)
		c.Args = append(c.Args, "--overlay="+req.Spec.Overlay)
		return c, err
	})
	const overlay, secret = "token = 'sesame'", "PASSWORD=swordfish"
	pod := r.Launch(launcher.Spec{Name: "alice", Overlay: overlay, Env: append(os.Environ(), secret)})
	data, err := os.ReadFile(r.Beside("alice", ".json"))
	if err != nil {
		t.Fatal(err)
	}
	for _, text := range []string{"sesame", "swordfish"} {
		if bytes.Contains(data, []byte(text)) {
			t.Errorf("the record tells %q: %s", text, data)
		}
	}
	for s, err := range r.L.List(t.Context()) {
		last := len(s.Command) - 1
		if err != nil || s.PID != pod.PID() || s.Endpoint != pod.Endpoint() || s.RuntimeDir != r.Dir("alice") ||
			s.LogPath != pod.LogPath() || s.Started.IsZero() || s.Command[0] != podrig.Pod ||
			s.Command[last] != fmt.Sprintf("--overlay=<overlay: %d bytes>", len(overlay)) {
			t.Errorf("List yields %+v, %v", s, err)
		}
	}
}

// B4: the path of a base directory may have any bytes, and Attach finds a pod below it.
func TestBaseOfAnyBytes(t *testing.T) {
	r := newRig(t, podrig.Serve...)
	r.L.Dir = runtimedir.Dir(filepath.Join(r.Base, "\xff<&>"))
	pod := r.Launch(podrig.Alice)
	again := r.MustAttach(pod)
	podrig.Ping(t, again)
	if _, err := os.Stat(again.LogPath()); err != nil {
		t.Error(err)
	}
}

// List yields pods in each state, in the order of their names. It passes over what is not
// a pod.
func TestList(t *testing.T) {
	r := newRig(t, podrig.Serve...)
	pod := r.Launch(podrig.Alice)
	r.Launch(launcher.Spec{Name: "bob"})
	if err := os.Remove(pod.Endpoint().Address); err != nil {
		t.Fatal(err)
	}
	carol := r.Launch(launcher.Spec{Name: "carol"})
	if err := carol.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(os.Mkdir(r.Dir("dave"), 0o700), os.WriteFile(r.Beside("eve", ".json"), []byte("{}"), 0o600)); err != nil {
		t.Fatal(err)
	}
	var got []string
	for s, err := range r.L.List(t.Context()) {
		if err != nil || (s.Why != nil) != (s.State != launcher.StateReady) {
			t.Fatalf("List yields %+v, %v", s, err)
		}
		got = append(got, fmt.Sprintf("%s %s", s.Name, s.State))
	}
	if want := []string{"alice unreachable", "bob ready", "carol gone"}; !slices.Equal(got, want) {
		t.Errorf("List yields %q, want %q", got, want)
	}
	for range r.L.List(t.Context()) {
		break // and no more is asked for
	}
	enough := errors.New("enough")
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(enough)
	for s, err := range r.L.List(ctx) {
		if !errors.Is(err, enough) {
			t.Errorf("List yields %+v, %v", s, err)
		}
	}
}

// Two who list at the same time do not take each other's look for a launch.
func TestListsAtOnce(t *testing.T) {
	r := newRig(t, podrig.Serve...)
	if err := r.Launch(podrig.Alice).Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for range 100 {
				if got := r.State(); got != launcher.StateGone {
					t.Errorf("List says %q", got)
					return
				}
			}
		})
	}
	wg.Wait()
}

// The log of a pod can be followed from its start and from now, and ends with
// the pod; and so for who has attached to it.
func TestFollow(t *testing.T) {
	r := newRig(t)
	wake := r.Fifo("wake")
	r.L.Command = podrig.Script("say one", "listen", "ready", "await "+wake, "say two", "exit 0")
	pod := r.Launch(podrig.Alice)
	attached := r.MustAttach(pod)
	var readers []io.ReadCloser
	for _, p := range []*launcher.Pod{pod, attached} {
		for _, fromStart := range []bool{true, false} {
			reader, err := p.Follow(t.Context(), fromStart)
			if err != nil {
				t.Fatal(err)
			}
			defer reader.Close()
			readers = append(readers, reader)
		}
	}
	podrig.Wake(t, wake)
	for i, reader := range readers {
		data, err := io.ReadAll(reader)
		want := "two\n"
		if i%2 == 0 {
			want = r.ReadLog("alice")
		}
		if err != nil || string(data) != want || !strings.HasSuffix(want, "two\n") {
			t.Errorf("reader %d: %q, %v, want %q", i, data, err, want)
		}
	}
}

// The log of a pod is not taken for that of a later one of its name: neither of the
// next, nor of the one after that, whose log may get the inode of the first.
func TestFollowOfAnEarlierPod(t *testing.T) {
	leaktest.Parallel(t)
	r := newRig(t, podrig.Serve...)
	var earlier []*launcher.Pod
	for range 5 {
		pod := r.Launch(launcher.Spec{Name: "alice"})
		for i, p := range earlier {
			log, err := p.Follow(t.Context(), true)
			if err == nil {
				log.Close()
				t.Fatalf("the log of pod %d of %d is that of the last", i+1, len(earlier)+1)
			}
			podrig.MustBe(t, err, fs.ErrNotExist)
		}
		if err := pod.Stop(t.Context()); err != nil {
			t.Fatal(err)
		}
		earlier = append(earlier, pod)
	}
}
