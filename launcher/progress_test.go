//go:build linux

package launcher_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"net"
	"os"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/podlaunch/podlaunch/launcher"
	"github.com/podlaunch/podlaunch/launcher/internal/leaktest"
	"github.com/podlaunch/podlaunch/launcher/internal/podrig"
	"github.com/podlaunch/podlaunch/logsource"
	"github.com/podlaunch/podlaunch/readiness"
	"github.com/podlaunch/podlaunch/runtimedir"
)

// An eventDeadline is a context whose deadline passes when over is closed, so
// that a test can run into it at an event.
type eventDeadline struct {
	context.Context
	over <-chan struct{}
}

func (d eventDeadline) Done() <-chan struct{} { return d.over }

func (d eventDeadline) Err() error {
	select {
	case <-d.over:
		return context.DeadlineExceeded
	default:
		return nil
	}
}

// A meteredLog is a log file that tells how much of it was read.
type meteredLog struct {
	at      int64
	reached chan struct{} // sent to by each reader that has read at bytes
	first   chan struct{} // closed by the first of them
	once    sync.Once
	closed  chan int64 // how much each reader has read that was closed
}

// newMeteredLog returns a log that tells when at bytes of it were read. It has
// room for what a few launches tell.
func newMeteredLog(at int64) *meteredLog {
	return &meteredLog{at: at, reached: make(chan struct{}, 16), first: make(chan struct{}), closed: make(chan int64, 16)}
}

// Open implements logsource.Source.
func (m *meteredLog) Open(ctx context.Context, launch logsource.Launch) (*logsource.Log, error) {
	log, err := logsource.File{}.Open(ctx, launch)
	if err != nil {
		return nil, err
	}
	follow := log.Follow
	log.Follow = func(ctx context.Context) (io.ReadCloser, error) {
		r, err := follow(ctx)
		return &meteredReader{ReadCloser: r, log: m}, err
	}
	return log, nil
}

type meteredReader struct {
	io.ReadCloser
	log  *meteredLog
	read int64
}

func (r *meteredReader) Read(p []byte) (int, error) {
	n, err := r.ReadCloser.Read(p)
	before := r.read
	r.read += int64(n)
	if before < r.log.at && r.read >= r.log.at {
		r.log.reached <- struct{}{}
		r.log.once.Do(func() { close(r.log.first) })
	}
	return n, err
}

func (r *meteredReader) Close() error {
	r.log.closed <- r.read
	return r.ReadCloser.Close()
}

// A keepingLog is a log file whose sink stays open in this process as well,
// until the test ends.
type keepingLog struct {
	t    *testing.T
	sink *os.File
}

// Open implements logsource.Source.
func (k *keepingLog) Open(ctx context.Context, launch logsource.Launch) (*logsource.Log, error) {
	log, err := logsource.File{}.Open(ctx, launch)
	if err != nil {
		return nil, err
	}
	fd, err := syscall.Dup(int(log.Sink.Fd()))
	if err != nil {
		return nil, err
	}
	syscall.CloseOnExec(fd)
	k.sink = os.NewFile(uintptr(fd), "the sink")
	k.t.Cleanup(func() { k.sink.Close() })
	return log, nil
}

// listen has this process listen on a unix socket until the test ends.
func listen(t *testing.T, path string) net.Listener {
	t.Helper()
	l, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return l
}

// catch calls f in a goroutine of its own, which f may end, and reports how it
// ended: with a panic, by returning, or else by runtime.Goexit.
func catch(f func()) (panicked any, returned bool) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		defer func() { panicked = recover() }()
		f()
		returned = true
	}()
	<-done
	return panicked, returned
}

// A17: a panic or a runtime.Goexit (which t.Fatal calls) in the progress callback, or in
// a strategy, goes on in the goroutine that called Launch. By then the pod is dead and
// reaped, and nothing else is left.
func a17(t *testing.T) {
	boom := errors.New("boom")
	explode := map[string]struct {
		explode  func()
		panicked func(any) bool
	}{
		"panic":      {func() { panic(boom) }, func(v any) bool { return v == boom }},
		"panic(nil)": {func() { panic(nil) }, func(v any) bool { _, ok := v.(*runtime.PanicNilError); return ok }},
		"Goexit":     {runtime.Goexit, func(v any) bool { return v == nil }},
	}
	for _, where := range []string{"Progress", "Progress of a pod that is ready", "Ready", "Command", "Dir", "Log", "Follow", "Starter"} {
		for how, c := range explode {
			t.Run(where+"/"+how, func(t *testing.T) {
				if testing.Short() && how == "panic(nil)" {
					t.Skip("skipped with -short: it is as with another value")
				}
				r := newRig(t, "say one", "hang")
				spec := launcher.Spec{Name: "alice"}
				healthy := *r
				r.mine(where, c.explode, &spec)
				before := leaktest.Take()
				panicked, returned := catch(func() { r.L.Launch(context.Background(), spec) })
				if returned || !c.panicked(panicked) {
					t.Errorf("Launch has returned: %v, panicked with: %v", returned, panicked)
				}
				if left := before.Left(0, podrig.Pod); left != nil {
					t.Errorf("left behind:\n%s", strings.Join(left, "\n"))
				}
				healthy.Relaunch("alice")
			})
		}
	}
}

// mine makes one part of the next launch call explode.
func (r *rig) mine(where string, explode func(), spec *launcher.Spec) {
	switch where {
	case "Progress":
		spec.Progress = func(string) { explode() }
	case "Progress of a pod that is ready":
		r.L.Command = podrig.Script("say one", "listen", "ready", "hang")
		spec.Progress = func(string) { explode() }
	case "Ready":
		r.L.Ready = readiness.ProbeFunc(func(context.Context, readiness.Target) (readiness.Endpoint, error) {
			explode()
			return readiness.Endpoint{}, nil
		})
	case "Command":
		r.L.Command = launcher.CommandResolverFunc(func(context.Context, launcher.Request) (launcher.Command, error) {
			explode()
			return launcher.Command{}, nil
		})
	case "Dir":
		r.L.Dir = runtimedir.ResolverFunc(func(context.Context, string) (string, error) {
			explode()
			return "", nil
		})
	case "Log":
		r.L.Log = logsource.SourceFunc(func(context.Context, logsource.Launch) (*logsource.Log, error) {
			explode()
			return nil, nil
		})
	case "Follow":
		r.L.Log = logsource.SourceFunc(func(ctx context.Context, launch logsource.Launch) (*logsource.Log, error) {
			log, err := logsource.File{}.Open(ctx, launch)
			if err == nil {
				log.Follow = func(context.Context) (io.ReadCloser, error) { explode(); return nil, nil }
			}
			return log, err
		})
	case "Starter":
		r.L.Starter = explosive(explode)
	}
}

// An explosive is a Starter that does not return.
type explosive func()

func (e explosive) Start(context.Context, launcher.StartRequest) (launcher.Process, error) {
	e()
	return nil, nil
}

// A18: a callback that blocks, is slow, or launches a pod itself.
func a18(t *testing.T) {
	t.Run("blocks a pod that is ready", a18Ready)
	t.Run("blocks a pod that is not", a18Deadline)
	t.Run("blocks and goes on", a18GoesOn)
	t.Run("is slow", a18Slow)
	t.Run("is slow and not behind", a18Idle)
	t.Run("is fast", a18Fast)
	t.Run("began before", a18Began)
	t.Run("launches", a18Launches)
}

// A callback that does not return does not keep a ready pod from its caller,
// and once Launch has returned it gets nothing more.
func a18Ready(t *testing.T) {
	before := leaktest.Take()
	r := newRig(t)
	gate, written := r.Fifo("gate"), r.Fifo("written")
	r.L.Command = podrig.Script("say one", "say two", "listen", "ready", "await "+gate, "say three", "notify "+written, "hang")
	release := make(chan struct{})
	var calls atomic.Int32
	pod := r.Launch(launcher.Spec{Name: "alice", Progress: func(string) {
		calls.Add(1)
		<-release
	}})
	podrig.Ping(t, pod)
	podrig.Wake(t, gate)
	f, err := os.Open(written)
	if err != nil {
		t.Fatal(err)
	}
	f.Close()
	close(release)
	mustStop(t, pod)
	if left := before.Left(podrig.Ample, podrig.Pod); left != nil {
		t.Errorf("left behind by the callback:\n%s", strings.Join(left, "\n"))
	}
	if n := calls.Load(); n != 1 {
		t.Errorf("the callback was called %d times, want once", n)
	}
}

// A callback that does not return is named, with the lines that it did not
// get, and the deadline holds.
func a18Deadline(t *testing.T) {
	const lines = "one\ntwo\nthree\nfour\n"
	r := newRig(t, "write "+strconv.Quote(lines), "hang")
	log := newMeteredLog(int64(len(lines)))
	r.L.Log = log
	called, release := make(chan struct{}), make(chan struct{})
	both := make(chan struct{})
	go func() {
		<-log.first
		<-called
		close(both)
	}()
	_, err := r.L.Launch(eventDeadline{context.Background(), both}, launcher.Spec{Name: "alice", Progress: func(string) {
		close(called) // and so a second call would panic
		<-release
	}})
	close(release)
	podrig.MustBe(t, err, launcher.ErrTimeout, context.DeadlineExceeded)
	podrig.MustSay(t, err, "the progress callback was too slow for 3 lines", "NOT CLEARED: Spec.Progress has not returned")
	var e *launcher.Error
	if !errors.As(err, &e) || e.Dropped != 3 || e.Leftover == nil {
		t.Errorf("%+v", e)
	}
	if diff := difference([]string{"one", "two", "three", "four"}, e.Tail); diff != "" {
		t.Errorf("tail (-want +got):\n%s", diff)
	}
}

// Row 13, A18: a callback that blocks for a while has lost nothing when it goes
// on, however much was written in the meantime.
func a18GoesOn(t *testing.T) {
	const n = 5000
	r := newRig(t)
	written := r.Fifo("written")
	r.L.Command = podrig.Script(fmt.Sprintf("repeat %d line %%d", n), "notify "+written, "say last", "listen", "ready", "hang")
	var lines []string
	r.Launch(launcher.Spec{Name: "alice", Progress: func(line string) {
		if lines == nil {
			if f, err := os.Open(written); err != nil {
				t.Error(err)
			} else {
				f.Close()
			}
		}
		lines = append(lines, line)
	}})
	want := []string{}
	for i := range n {
		want = append(want, fmt.Sprintf("line %d", i))
	}
	if diff := difference(append(want, "last"), lines); diff != "" {
		t.Errorf("progress (-want +got):\n%s", diff)
	}
}

// A callback that is too slow or blocks holds up a ready pod or the deadline for no
// longer than the launcher says. In a bubble, where time is exact.
func a18Slow(t *testing.T) {
	for _, c := range []struct {
		name         string
		call, longer time.Duration // of one call; that the launch may take
		ready        bool
	}{
		// Ten times the half second of the catalogue's invariant I4.
		{"slow and not ready", 50 * time.Millisecond, 5 * time.Second, false},
		{"slow and ready", 50 * time.Millisecond, 5 * time.Second, true},
		{"blocked and not ready", time.Hour, 500 * time.Millisecond, false},
		{"blocked and ready", time.Hour, 500 * time.Millisecond, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := newFake(t)
				limit := 2 * time.Second
				f.l.Timeout = limit
				f.l.Ready = readiness.ReadyLine{}
				f.log.write(strings.Repeat("line\n", 10_000))
				if c.ready {
					f.log.write("INSOMNIA-READY\talice\t/sock\n")
					limit = 0
				}
				var calls atomic.Int32
				began := time.Now()
				pod, err := f.l.Launch(t.Context(), launcher.Spec{Name: "alice", Progress: func(string) {
					calls.Add(1)
					time.Sleep(c.call)
				}})
				took, n := time.Since(began), calls.Load()
				if took > limit+c.longer {
					t.Errorf("Launch took %v, want at most %v", took, limit+c.longer)
				}
				if c.ready != (err == nil) {
					t.Fatalf("Launch returned %v", err)
				}
				if pod != nil {
					f.proc.end(launcher.Exit{Known: true})
					<-pod.Done()
				}
				time.Sleep(2 * time.Hour)
				if after := calls.Load(); after != n {
					t.Errorf("the callback was called %d times before Launch returned and %d times afterwards", n, after-n)
				}
				var e *launcher.Error
				if errors.As(err, &e) && e.Dropped != 10_000-int(n) {
					t.Errorf("%d of 10000 lines were passed on, and Dropped is %d", n, e.Dropped)
				}
			})
		})
	}
}

// A callback that is slow, but not behind, gets the last line as well, and when Launch
// returns nobody reads the log any more. In bubbles, for it is a matter of who is
// first.
func a18Idle(t *testing.T) {
	for i := range podrig.Size(t, 40, 100, 4000) {
		ready := i%2 == 0
		synctest.Test(t, func(t *testing.T) {
			f := newFake(t)
			f.l.Ready = readiness.ReadyLine{}
			for i := range 3 {
				time.AfterFunc(time.Duration(i+1)*time.Second, func() { f.log.write("line\n") })
			}
			if ready {
				time.AfterFunc(4*time.Second, func() { f.log.write("last\nINSOMNIA-READY\talice\t/sock\n") })
			} else {
				f.proc.endAt(time.Now().Add(4*time.Second), launcher.Exit{Known: true})
			}
			last := ""
			pod, err := f.l.Launch(t.Context(), launcher.Spec{Name: "alice", Progress: func(line string) {
				last = line
				time.Sleep(20 * time.Millisecond)
			}})
			if n := f.log.open(); n != 0 {
				t.Errorf("%d readers are open when Launch returns", n)
			}
			if ready != (err == nil) || ready && last != "last" {
				t.Errorf("the last line it got is %q; %v", last, err)
			}
			if pod != nil {
				mustStop(t, pod)
			}
		})
	}
}

// A callback that takes a tenth of a millisecond is fast, and gets every line that was
// written before the pod was ready, however many at once. In a bubble.
func a18Fast(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake(t)
		f.l.Ready = readiness.ReadyLine{}
		const n = 5000
		f.log.write(strings.Repeat("line\n", n) + "INSOMNIA-READY\talice\t/sock\n")
		calls := 0
		pod, err := f.l.Launch(t.Context(), launcher.Spec{Name: "alice", Progress: func(string) {
			calls++
			time.Sleep(100 * time.Microsecond)
		}})
		if err != nil {
			t.Fatal(err)
		}
		if calls != n {
			t.Errorf("it got %d lines of %d", calls, n)
		}
		mustStop(t, pod)
	})
}

// The part of a call before the launch is over does not count. A call that began long
// before, and goes on soon after, gets every line. In a bubble.
func a18Began(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake(t)
		f.l.Ready = readiness.ReadyLine{}
		f.log.write("one\n")
		time.AfterFunc(time.Second, func() { f.log.write("two\nINSOMNIA-READY\talice\t/sock\n") })
		var lines []string
		pod, err := f.l.Launch(t.Context(), launcher.Spec{Name: "alice", Progress: func(line string) {
			if lines == nil {
				time.Sleep(time.Second + 100*time.Millisecond)
			}
			lines = append(lines, line)
		}})
		if err != nil {
			t.Fatal(err)
		}
		if diff := difference([]string{"one", "two"}, lines); diff != "" {
			t.Errorf("progress (-want +got):\n%s", diff)
		}
		mustStop(t, pod)
	})
}

// A callback may launch another pod, with the same Launcher.
func a18Launches(t *testing.T) {
	r := newRig(t, "say one", "listen", "ready", "hang")
	inner := make(chan *launcher.Pod, 1)
	outer := r.Launch(launcher.Spec{Name: "alice", Progress: func(string) {
		// Not the rig's Launch, which is for the test's goroutine: a callback that
		// takes long is left alone by the launch.
		pod, err := r.L.Launch(t.Context(), launcher.Spec{Name: "bob"})
		if err != nil {
			t.Error(err)
		}
		inner <- pod
	}})
	podrig.Ping(t, outer)
	if bob := <-inner; bob != nil {
		podrig.Ping(t, bob)
		if err := bob.Stop(t.Context()); err != nil {
			t.Error(err)
		}
	}
}

// A26: lines without a newline, of 64 KiB, of 32 MiB, and without end. The
// memory does not grow with them, they are cut, and the next line is intact.
func a26(t *testing.T) {
	r := newRig(t)
	// What a launch takes besides, and the end of its pod: that looks at all processes.
	besides := allocatedBy(func() {
		r.L.Command = podrig.Script("listen", "ready", "hang")
		r.progressOf("alice")
	})
	for _, n := range []int{logsource.MaxLine - 1, logsource.MaxLine, logsource.MaxLine + 1, 32 << 20} {
		r.L.Command = podrig.Script("listen", "say before", fmt.Sprintf("longline %d", n), "say after", "ready", "hang")
		var lines []string
		if took := allocatedBy(func() { lines = r.progressOf("alice") }); took > besides+8<<20 {
			t.Errorf("a line of %d bytes took %d bytes of memory", n, took)
		}
		cut := strings.Repeat("y", min(n, logsource.MaxLine))
		if !slices.Equal(lines, []string{"before", cut, "after"}) {
			t.Errorf("a line of %d bytes: progress got %d lines: %.200q", n, len(lines), lines)
		}
	}
	r.L.Command = podrig.Script("say before", fmt.Sprintf("longline %d", math.MaxInt))
	log := newMeteredLog(16 << 20)
	r.L.Log = log
	if took := allocatedBy(func() { // by the launch alone: what Fail checks takes memory, too
		if pod, err := r.L.Launch(eventDeadline{context.Background(), log.first}, podrig.Alice); err == nil {
			mustStop(t, pod)
		}
	}); took > besides+8<<20 {
		t.Errorf("a line without end took %d bytes of memory", took)
	}
	log = newMeteredLog(16 << 20)
	r.L.Log = log
	e := r.Fail(eventDeadline{context.Background(), log.first}, podrig.Alice)
	podrig.MustBe(t, e, launcher.ErrTimeout)
	if !slices.Equal(e.Tail, []string{"before", strings.Repeat("y", logsource.MaxLine)}) {
		t.Errorf("the tail has %d lines: %.200q", len(e.Tail), e.Tail)
	}
	podrig.MustSay(t, e, "… (65536 bytes)")
}

// allocatedBy returns how many bytes are allocated while f runs, by all
// goroutines, whether or not they are still in use.
func allocatedBy(f func()) uint64 {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	f()
	runtime.ReadMemStats(&after)
	return after.TotalAlloc - before.TotalAlloc
}

// A27: a million short lines, and a hundred megabytes. Every reader reads every
// byte once; the callback gets every line, in order; what is not passed on
// takes no memory.
func a27(t *testing.T) {
	count, size := 20_000, 10_000_000
	if *podrig.Soak {
		count, size = 1_000_000, 100_000_000
	}
	r := newRig(t)
	log := newMeteredLog(0)
	r.L.Log = log
	r.L.Command = podrig.Script(fmt.Sprintf("repeat %d line %%d", count), "listen", "ready", "hang")
	next := 0
	pod := r.Launch(launcher.Spec{Name: "alice", Progress: func(line string) {
		if want := "line " + strconv.Itoa(next); line != want && next >= 0 {
			t.Errorf("progress got %q, want %q", line, want)
			next = -count
		}
		next++
	}})
	if next != count {
		t.Errorf("progress got %d lines, want %d", next, count)
	}
	total := int64(len(r.ReadLog("alice")))
	for range 3 { // the probe, the tail, the progress
		if read := <-log.closed; read > total {
			t.Errorf("a reader has read %d bytes of a log of %d", read, total)
		}
	}
	mustStop(t, pod)

	r.L.Log, r.L.Command = nil, podrig.Script(fmt.Sprintf("flood %d", size), "listen", "ready", "hang")
	if took := allocatedBy(func() { r.Launch(launcher.Spec{Name: "bob"}) }); took > 8<<20 {
		t.Errorf("%d bytes of lines took %d bytes of memory", size, took)
	}
}

// Row 13: each line before readiness comes, the ready line does not, and none
// comes that was written after it. (That several may be told late is A18's.)
func TestProgress(t *testing.T) {
	r := newRig(t, "say one", "say", "say   two  ", "listen", "ready", "hang")
	lines := r.progressOf("alice")
	if diff := difference([]string{"one", "", "  two  "}, lines); diff != "" {
		t.Errorf("progress (-want +got):\n%s", diff)
	}
}

// Row 13, C35: when the pod exits, progress gets every line that it wrote, to
// the last one without a newline, before Launch returns; the tail has the last
// of them.
func TestProgressOfAPodThatExits(t *testing.T) {
	const n = 2000
	r := newRig(t, fmt.Sprintf("repeat %d line %%d", n), `write "last"`, "exit 1")
	var lines []string
	e := r.Fail(t.Context(), launcher.Spec{Name: "alice", Progress: func(line string) { lines = append(lines, line) }})
	if len(lines) != n+1 || lines[n] != "last" || e.Dropped != 0 {
		t.Errorf("progress got %d lines, the last of them %.80q, and Dropped is %d", len(lines), lines[len(lines)-1:], e.Dropped)
	}
	if diff := difference(lines[len(lines)-64:], e.Tail); diff != "" {
		t.Errorf("the tail is not the end of the progress (-progress +tail):\n%s", diff)
	}
}

// A callback of 20 ms a line holds no launch up: a ready pod is returned once the
// call that runs has returned, or the one after it, however many lines are left. In
// a bubble, where time is exact.
func TestSlowProgressHoldsNoLaunchUp(t *testing.T) {
	const call = 20 * time.Millisecond
	for _, lines := range []int{1, 3, 50, 10_000} {
		t.Run(strconv.Itoa(lines), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := newFake(t)
				f.l.Ready = readiness.ReadyLine{}
				f.log.write(strings.Repeat("line\n", lines) + "INSOMNIA-READY\talice\t/sock\n")
				began := time.Now()
				pod, err := f.l.Launch(t.Context(), launcher.Spec{Name: "alice", Progress: func(string) { time.Sleep(call) }})
				if err != nil {
					t.Fatal(err)
				}
				if took := time.Since(began); took > 2*call {
					t.Errorf("a callback of %v held the launch up for %v", call, took)
				}
				mustStop(t, pod)
			})
		})
	}
}
