//go:build linux

package faults_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"
	"golang.org/x/sys/unix"

	"github.com/podlaunch/podlaunch/launcher"
	"github.com/podlaunch/podlaunch/launcher/internal/fakepod"
	"github.com/podlaunch/podlaunch/launcher/internal/osproc"
	"github.com/podlaunch/podlaunch/launcher/internal/podrig"
	"github.com/podlaunch/podlaunch/logsource"
	"github.com/podlaunch/podlaunch/readiness"
	"github.com/podlaunch/podlaunch/runtimedir"
)

// TestFaultD injects the faults of part D of the catalogue: what the program
// may do, or suffer, that launches a pod. Each case is called by its number.
//
// D7 is TestContextBoundsTheLaunchOnly, D17 TestSIGCHLDIgnored, and D22
// TestDescriptorsAreNotInherited; D8, D9 and D14 to D16 are TestCrashPoints,
// TestStorm and their like, D13 is TestEnsure. D11 is by review: every instant
// that something is decided by is Go's monotonic one. D28 is documented, and not
// built. D32 is about how this suite is run.
func TestFaultD(t *testing.T) {
	if testing.Short() {
		t.Skip("skipped with -short: it waits for deadlines")
	}
	for _, c := range []struct {
		name string
		test func(t *testing.T)
	}{
		{"D01 cancelled before the start", d01},
		{"D02 cancelled while it waits for the name", d02},
		{"D03 cancelled right after the start", d03},
		{"D04 cancelled while it waits for the line", d04},
		{"D05 cancelled while it dials", d05},
		{"D06 cancelled and ready", d06},
		{"D10 stopped across ready and deadline", d10},
		{"D12 wall clock jumps", d12},
		{"D18 a rival waits for every child", d18},
		{"D19 we are PID 1", d19},
		{"D20 PID 1 does not reap", d20},
		{"D21 garbage collections", d21},
		{"D23 forks while locks are given back", d23},
		{"D24 started without standard descriptors", d24},
		{"D25 signals ignored", d25},
		{"D26 terminal closes", d26},
		{"D27 launcher ends while the pod is stopped", d27},
		{"D29 working directory, umask and environment change", d29},
		{"D30 lock files deleted", d30},
		{"D31 record spoiled", d31},
		{"D33 interrupted calls", d33},
		{"D34 forks while a name is taken", d34},
	} {
		t.Run(c.name, c.test)
	}
}

// errGivenUp is why the contexts of these tests end.
var errGivenUp = errors.New("the caller gives up")

// mustGiveUp launches alice in a context that something ends, checks what holds
// for every cancelled launch, and that the name is free.
func (r *rig) mustGiveUp(ctx context.Context, stage launcher.Stage) *launcher.Error {
	r.T.Helper()
	e := r.Fail(ctx, podrig.Alice)
	podrig.MustBe(r.T, e, errGivenUp, context.Canceled)
	if e.Stage != stage {
		r.T.Errorf("stage %q, want %q: %v", e.Stage, stage, e)
	}
	r.mustBeUnowned()
	return e
}

// mustBeUnowned fails the test unless nobody has the name, now.
func (r *rig) mustBeUnowned() {
	r.T.Helper()
	if _, err := os.Lstat(r.Beside("alice", ".json")); !errors.Is(err, fs.ErrNotExist) {
		r.T.Errorf("there is a record: %v", err)
	}
	for _, suffix := range []string{".launch", ".pod"} {
		f, err := r.Lock(suffix)
		if err != nil {
			r.T.Errorf("the lock %s: %v", suffix, err)
		}
		f.Close()
	}
}

// D1: cancelled before anything, or in any step before the process, a launch
// leaves nothing, and starts nothing.
func d01(t *testing.T) {
	t.Run("at the call", func(t *testing.T) {
		r := newRig(t, podrig.Serve...)
		ctx, cancel := context.WithCancelCause(t.Context())
		cancel(errGivenUp)
		e := r.Fail(ctx, podrig.Alice)
		podrig.MustBe(t, e, errGivenUp, context.Canceled)
		if entries, err := os.ReadDir(r.Base); err != nil || len(entries) > 0 {
			t.Errorf("there are %v, %v", entries, err)
		}
	})
	for _, c := range []struct {
		stage launcher.Stage
		hook  func(r *rig, cancel func())
	}{
		{launcher.StageResolve, func(r *rig, cancel func()) {
			next := r.L.Command
			r.L.Command = launcher.CommandResolverFunc(func(ctx context.Context, req launcher.Request) (launcher.Command, error) {
				cancel()
				c, err := next.ResolveCommand(ctx, req)
				return c, errors.Join(err, context.Cause(ctx))
			})
		}},
		{launcher.StageDir, func(r *rig, cancel func()) { r.L.Dir = cancellingDir{runtimedir.Dir(r.Base), cancel} }},
		{launcher.StageLog, func(r *rig, cancel func()) {
			r.L.Log = logsource.SourceFunc(func(ctx context.Context, l logsource.Launch) (*logsource.Log, error) {
				cancel()
				return logsource.File{}.Open(ctx, l)
			})
		}},
		{launcher.StageStart, func(r *rig, cancel func()) {
			r.L.Log = logsource.SourceFunc(func(ctx context.Context, l logsource.Launch) (*logsource.Log, error) {
				log, err := logsource.File{}.Open(ctx, l)
				cancel() // it did not notice
				return log, err
			})
		}},
	} {
		t.Run(string(c.stage), func(t *testing.T) {
			r := newRig(t, podrig.Serve...)
			ctx, cancel := context.WithCancelCause(t.Context())
			c.hook(r, func() { cancel(errGivenUp) })
			if e := r.mustGiveUp(ctx, c.stage); e.PID != 0 {
				t.Errorf("a process was started: %+v", e)
			}
		})
	}
	t.Run("at each step that is logged", atEachStep)
}

// A cancellingDir cancels the launch that asks it for a directory.
type cancellingDir struct {
	runtimedir.Dir
	cancel func()
}

func (d cancellingDir) RuntimeDir(ctx context.Context, name string) (string, error) {
	d.cancel()
	return d.Dir.RuntimeDir(ctx, name)
}

// A tellingBase tells when a launch asks for its base.
type tellingBase struct {
	runtimedir.Dir
	asked func()
}

func (d tellingBase) Base(ctx context.Context) (string, error) {
	d.asked()
	return d.Dir.Base(ctx)
}

// atEachStep cancels at the first message of the log, then at the second, until
// a launch has no more of them before it is ready.
func atEachStep(t *testing.T) {
	r := newRig(t, podrig.Serve...)
	for n := 1; ; n++ {
		ctx, cancel := context.WithCancelCause(t.Context())
		count := 0
		r.L.Logger = hclog.New(&hclog.LoggerOptions{Level: hclog.Debug, Output: writerFunc(func([]byte) {
			if count++; count == n {
				cancel(errGivenUp)
			}
		})})
		pod, err := r.L.Launch(ctx, podrig.Alice)
		if err == nil {
			if n < 8 {
				t.Errorf("ready although it was cancelled at message %d", n)
			}
			if err := pod.Stop(t.Context()); err != nil {
				t.Error(err)
			}
			return
		}
		podrig.MustBe(t, err, errGivenUp)
		var e *launcher.Error
		if !errors.As(err, &e) || e.Leftover != nil {
			t.Errorf("cancelled at message %d: %+v", n, err)
		}
		if e.PID != 0 {
			podrig.MustBeGone(t, e.PID)
		}
		r.mustBeUnowned()
		cancel(nil)
	}
}

// A writerFunc is called with what is written.
type writerFunc func([]byte)

func (f writerFunc) Write(p []byte) (int, error) {
	f(p)
	return len(p), nil
}

// D2: who gives up waiting for a name says that it is held, and why it gave up.
func d02(t *testing.T) {
	r := newRig(t, podrig.Serve...)
	lock, err := r.Lock(".launch")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancelCause(t.Context())
	r.L.Dir = tellingBase{runtimedir.Dir(r.Base), func() {
		time.AfterFunc(podrig.Short, func() { cancel(errGivenUp) })
	}}
	e := r.Fail(ctx, podrig.Alice)
	podrig.MustBe(t, e, launcher.ErrHeld, errGivenUp, context.Canceled)
	if e.Stage != launcher.StageOwn || errors.Is(e, launcher.ErrTimeout) {
		t.Errorf("%+v", e)
	}
	lock.Close()
	r.mustBeUnowned()
}

// D3: a launch that is canceled ends the process that it has just started.
func d03(t *testing.T) {
	r := newRig(t, "spawn hang", "setsid hang", "hang")
	ctx, cancel := context.WithCancelCause(t.Context())
	r.L.Starter = podrig.StarterFunc(func(ctx context.Context, req launcher.StartRequest) (launcher.Process, error) {
		p, err := launcher.Local{}.Start(ctx, req)
		cancel(errGivenUp)
		return p, err
	})
	if e := r.mustGiveUp(ctx, launcher.StageReady); e.PID == 0 {
		t.Errorf("no process was started: %v", e)
	}
}

// D4: a launch that is canceled ends a pod that has not said that it is ready.
func d04(t *testing.T) {
	r := newRig(t)
	up := r.Fifo("up")
	r.L.Command = podrig.Script("spawn hang", "say one", "notify "+up, "hang")
	ctx, cancel := context.WithCancelCause(t.Context())
	go func() {
		if f, err := os.Open(up); err == nil { // returns once the pod has opened its end
			f.Close()
		}
		cancel(errGivenUp)
	}()
	e := r.mustGiveUp(ctx, launcher.StageReady)
	podrig.MustSay(t, e, "ready line")
	if !slices.Equal(e.Tail, []string{"one"}) {
		t.Errorf("the tail is %q", e.Tail)
	}
}

// D5: a launch that is canceled ends a pod that says that it is ready and does not answer.
func d05(t *testing.T) {
	r := newRig(t, "ready", "hang")
	ctx, cancel := context.WithCancelCause(t.Context())
	r.L.Ready = readiness.Sequence{readiness.ReadyLine{}, probeThen(func() { cancel(errGivenUp) }), readiness.Socket{}}
	podrig.MustSay(t, r.mustGiveUp(ctx, launcher.StageReady), "an answer on unix:")
}

// probeThen returns a probe that calls f and returns the endpoint of its target.
func probeThen(f func()) readiness.Probe {
	return readiness.ProbeFunc(func(_ context.Context, t readiness.Target) (readiness.Endpoint, error) {
		f()
		return t.Endpoint, nil
	})
}

// D6: a pod that proves to be ready in the instant of the cancellation is ready.
func d06(t *testing.T) {
	r := newRig(t, podrig.Serve...)
	ctx, cancel := context.WithCancelCause(t.Context())
	r.L.Ready = readiness.Sequence{readiness.ReadyLine{}, readiness.Socket{}, probeThen(func() { cancel(errGivenUp) })}
	pod, err := r.L.Launch(ctx, podrig.Alice)
	if err != nil {
		t.Fatal(err)
	}
	podrig.Ping(t, pod)
	r.MustRefuse(t.Context(), &r.L, launcher.ErrRunning)
	if err := pod.Stop(t.Context()); err != nil {
		t.Error(err)
	}
}

// A launcherOrder says how another process is to launch alice.
type launcherOrder struct {
	Pod, Base string
	Steps     []string
	Timeout   time.Duration
	Stay      bool // after the launch, failed or not, until stdin ends
}

// A launcherReply is what came of it.
type launcherReply struct {
	PID int
	Err string
}

// launcherVariable is set, to a launcherOrder, for the processes that are other
// launchers. They are this program.
const launcherVariable = "PODLAUNCH_TEST_LAUNCHER"

// replyDescriptor is where such a process replies.
const replyDescriptor = 3

func init() {
	text := os.Getenv(launcherVariable)
	if text == "" {
		return
	}
	os.Unsetenv(launcherVariable)
	syscall.CloseOnExec(replyDescriptor)
	var o launcherOrder
	var reply launcherReply
	if err := json.Unmarshal([]byte(text), &o); err != nil {
		reply.Err = err.Error()
	} else if pod, err := o.launch(); err != nil {
		reply.Err = err.Error()
	} else {
		reply.PID = pod.PID()
	}
	out := os.NewFile(replyDescriptor, "reply")
	json.NewEncoder(out).Encode(reply)
	out.Close()
	if o.Stay {
		io.Copy(io.Discard, os.Stdin)
	}
	os.Exit(0)
}

func (o launcherOrder) launch() (*launcher.Pod, error) {
	podrig.Pod = o.Pod
	l := launcher.Launcher{Command: podrig.Script(o.Steps...), Dir: runtimedir.Dir(o.Base), Timeout: o.Timeout}
	return l.Launch(context.Background(), podrig.Alice)
}

// An otherLauncher is a process that launches alice.
type otherLauncher struct {
	t     *testing.T
	cmd   *exec.Cmd
	stdin io.Closer
	reply *os.File
}

// startLauncher starts another launcher. change may change how.
func (r *rig) startLauncher(o launcherOrder, change ...func(*exec.Cmd)) *otherLauncher {
	r.T.Helper()
	o.Pod, o.Base = podrig.Pod, r.Base
	if o.Timeout == 0 {
		o.Timeout = podrig.Ample
	}
	order, err := json.Marshal(o)
	if err != nil {
		r.T.Fatal(err)
	}
	reply, theirs, err := os.Pipe()
	if err != nil {
		r.T.Fatal(err)
	}
	defer theirs.Close()
	input, stdin, err := os.Pipe()
	if err != nil {
		r.T.Fatal(err)
	}
	defer input.Close()
	cmd := exec.Command("/proc/self/exe")
	cmd.Env = append(os.Environ(), launcherVariable+"="+string(order))
	cmd.Stdin, cmd.Stdout, cmd.Stderr = input, os.Stdout, os.Stderr
	cmd.ExtraFiles = []*os.File{theirs}
	for _, f := range change {
		f(cmd)
	}
	if err := cmd.Start(); err != nil {
		r.T.Fatal(err)
	}
	l := &otherLauncher{r.T, cmd, stdin, reply}
	r.T.Cleanup(func() {
		reply.Close()
		l.kill(syscall.SIGKILL)
	})
	return l
}

// launched waits for alice to be ready, and returns its pid.
func (l *otherLauncher) launched() int {
	l.t.Helper()
	var reply launcherReply
	if err := json.NewDecoder(l.reply).Decode(&reply); err != nil || reply.Err != "" {
		l.t.Fatalf("the other launcher: %q, %v", reply.Err, err)
	}
	return reply.PID
}

// exit has the launcher exit, and waits until it has.
func (l *otherLauncher) exit() {
	l.t.Helper()
	l.stdin.Close()
	if err := l.cmd.Wait(); err != nil {
		l.t.Error(err)
	}
}

// kill signals the launcher, unless it has ended, and waits until it has.
func (l *otherLauncher) kill(sig syscall.Signal) {
	l.cmd.Process.Signal(sig)
	l.cmd.Wait()
	l.stdin.Close()
}

// mustServe attaches to alice, which must be pid, has it answer, and stops it.
func (r *rig) mustServe(pid int) {
	r.T.Helper()
	pod, err := r.L.Attach(r.T.Context(), "alice")
	if err != nil {
		r.T.Fatal(err)
	}
	if pod.PID() != pid {
		r.T.Errorf("attached to %d, want %d", pod.PID(), pid)
	}
	podrig.Ping(r.T, pod)
	if err := pod.Stop(r.T.Context()); err != nil {
		r.T.Error(err)
	}
	podrig.MustBeGone(r.T, pid)
}

// D10: a launcher that is stopped while its pod becomes ready, and until its
// deadline is over, finds it ready.
func d10(t *testing.T) {
	r := newRig(t)
	up, goOn, done := r.Fifo("up"), r.Fifo("go"), r.Fifo("done")
	steps := []string{"notify " + up, "await " + goOn, "listen", "ready", "notify " + done, "hang"}
	// However slow the machine is, with time enough the pod is up before the
	// deadline.
	for timeout := podrig.Short; ; timeout *= 2 {
		l, stopped := r.stopWhenUp(launcherOrder{Steps: steps, Timeout: timeout}, up)
		if l == nil {
			if timeout > podrig.Ample {
				t.Fatal("the pod did not come up")
			}
			continue
		}
		podrig.Wake(t, goOn)
		podrig.Await(t, done)
		<-time.After(time.Until(stopped.Add(timeout)))
		if err := syscall.Kill(l.cmd.Process.Pid, syscall.SIGCONT); err != nil {
			t.Fatal(err)
		}
		r.mustServe(l.launched())
		return
	}
}

// stopWhenUp starts another launcher, whose pod notifies the FIFO up, and then stops the
// launcher. It returns when it did so. It returns no launcher if the deadline may have
// passed before; then nothing of the launcher is left.
func (r *rig) stopWhenUp(o launcherOrder, up string) (*otherLauncher, time.Time) {
	r.T.Helper()
	began := time.Now()
	l := r.startLauncher(o)
	// Opening a FIFO for reading and writing does not block, and wakes its reader.
	over := time.AfterFunc(o.Timeout, func() {
		if f, err := os.OpenFile(up, os.O_RDWR, 0); err == nil {
			f.Close()
		}
	})
	podrig.Await(r.T, up)
	over.Stop()
	pid := l.cmd.Process.Pid
	if err := syscall.Kill(pid, syscall.SIGSTOP); err != nil {
		r.T.Fatal(err)
	}
	if err := unix.Waitid(unix.P_PID, pid, nil, unix.WSTOPPED|unix.WEXITED|unix.WNOWAIT, nil); err != nil {
		r.T.Fatal(err)
	}
	if stopped := time.Now(); stopped.Sub(began) < o.Timeout {
		return l, stopped
	}
	l.kill(syscall.SIGKILL)
	for _, pid := range podrig.Alive(r.T, r.Dir("alice")) {
		syscall.Kill(pid, syscall.SIGKILL)
	}
	return nil, time.Time{}
}

// D12: nothing is decided by the wall clock: what the record says of it is for
// people.
func d12(t *testing.T) {
	r := newRig(t, podrig.Serve...)
	pod := r.Launch(podrig.Alice)
	for _, days := range []int{-365, 365} {
		then := time.Now().AddDate(0, 0, days)
		r.EditRecord(func(m map[string]any) { m["started"] = then })
		r.MustRefuse(t.Context(), &r.L, launcher.ErrRunning)
		podrig.Ping(t, r.MustAttach(pod))
		for s, err := range r.L.List(t.Context()) {
			if err != nil || s.State != launcher.StateReady || !s.Started.Equal(then) {
				t.Errorf("List yields %+v, %v", s, err)
			}
		}
	}
}

// asInit runs the test as PID 1 of a pid namespace of its own, which has its own
// /proc, and reports whether this is that process. Where no namespace can be
// made, it skips the test.
func asInit(t *testing.T) bool {
	t.Helper()
	if !inNamespaces(t, syscall.CLONE_NEWPID|syscall.CLONE_NEWNS) {
		return false
	}
	if err := unix.Mount("proc", "/proc", "proc", 0, ""); err != nil {
		t.Fatal(err)
	}
	return true
}

// A launcher that is PID 1, as in many containers, lives like any other: its pods that end with
// it are not called gone, and not ended, by those who ask for them.
func TestLauncherIsInit(t *testing.T) {
	if !asInit(t) {
		return
	}
	r := newRig(t, podrig.Serve...)
	spec := launcher.Spec{Name: podrig.Alice.Name, Lifetime: launcher.WithParent}
	pod := r.Launch(spec)
	again, started, err := r.L.Ensure(t.Context(), spec)
	if err != nil || started || again.PID() != pod.PID() {
		t.Errorf("Ensure gives %v, %v, %v instead of pid %d", again, started, err, pod.PID())
	}
	for s, err := range r.L.List(t.Context()) {
		if err != nil || s.State != launcher.StateReady {
			t.Errorf("List yields %+v, %v", s, err)
		}
	}
	podrig.Ping(t, pod)
}

// inNamespaces runs the test in a process of its own in namespaces of its own, one of them
// a mount namespace, and reports whether this is that process. An ordinary user is root
// there. inNamespaces skips the test if it can make no namespaces. Root can make them, so
// root's test must not be skipped in CI: there it fails.
func inNamespaces(t *testing.T, flags uintptr) bool {
	t.Helper()
	if testing.Short() {
		t.Skip("skipped with -short: it needs namespaces of its own")
	}
	attr := &syscall.SysProcAttr{Cloneflags: flags}
	if os.Geteuid() != 0 {
		attr.Cloneflags |= syscall.CLONE_NEWUSER
		attr.UidMappings = []syscall.SysProcIDMap{{HostID: os.Getuid(), Size: 1}}
		attr.GidMappings = []syscall.SysProcIDMap{{HostID: os.Getgid(), Size: 1}}
	}
	if os.Getenv(podrig.AloneVariable) != t.Name() {
		try := exec.Command("/proc/self/exe", "-test.run=^$")
		try.Env = append(os.Environ(), launcherVariable+"={}") // ends at once
		try.SysProcAttr = attr
		if err := try.Run(); err != nil && os.Geteuid() == 0 && os.Getenv("CI") == "true" {
			t.Fatalf("root can make no namespace here: %v", err)
		} else if err != nil {
			t.Skipf("NOT RUN: no namespace can be made here: %v", err)
		}
	}
	if !podrig.Alone(t, func(c *exec.Cmd) { c.SysProcAttr = attr }) {
		return false
	}
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		t.Fatal(err)
	}
	return true
}

// D18: a program that waits for every child takes ours away. Their end is
// noticed all the same, and never made up, and the group can still be ended.
func d18(t *testing.T) {
	if testing.Short() {
		t.Skip("skipped with -short: it launches pods many times")
	}
	if !podrig.Alone(t) {
		return
	}
	go func() {
		for {
			if _, err := syscall.Wait4(-1, nil, 0, nil); err != nil {
				runtime.Gosched() // there is no child
			}
		}
	}()
	r := newRig(t)
	r.L.Grace = 500 * time.Millisecond // of the child that ignores SIGTERM
	for range 6 {
		r.L.Command = podrig.Script("say bye", "exit 3")
		e := r.Fail(t.Context(), podrig.Alice)
		podrig.MustBe(t, e, launcher.ErrExitedEarly)
		podrig.MustSay(t, e, "bye")
		if e.Exit == nil || e.Exit.Known && e.Exit.Code != 3 {
			t.Errorf("Exit is %+v", e.Exit)
		}
		r.mustBeUnowned()
		r.L.Command = podrig.Script("spawn ignore 15 ; hang", "listen", "ready", "hang")
		pod := r.Launch(podrig.Alice)
		if err := pod.Stop(t.Context()); err != nil {
			t.Fatal(err)
		}
		podrig.MustEndBy(t, pod, syscall.SIGTERM)
		podrig.MustBeGone(t, pod.PID())
	}
}

// D19: as PID 1 we inherit what a pod leaves behind. What was of a launch that
// failed, or of a pod that was stopped, is reaped with it, and of nobody else.
func d19(t *testing.T) {
	if !asInit(t) {
		return
	}
	r := newRig(t)
	up := r.Fifo("up")
	for _, family := range []string{"spawn", "setsid"} {
		steps := []string{family + " notify " + up + " ; hang", "await " + up, "spawn spawn hang ; hang"}
		r.L.Command = podrig.Script(append(steps, "exit 3")...)
		for range 5 {
			podrig.MustBe(t, r.Fail(t.Context(), podrig.Alice), launcher.ErrExitedEarly)
			r.mustBeUnowned()
		}
	}
	r.L.Command = podrig.Script("spawn notify "+up+" ; hang", "await "+up, "listen", "ready", "hang")
	other := r.startStranger()
	pod := r.Launch(podrig.Alice)
	if err := pod.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	podrig.MustBeGone(t, pod.PID())
	other.mustLive()
}

// D20: where PID 1 does not reap, a pod whose launcher is gone becomes a zombie
// when it dies. The zombie counts as gone. PID 1 reaps a pod that it has attached to.
func d20(t *testing.T) {
	if !asInit(t) { // which does not reap, being us
		return
	}
	r := newRig(t)
	orphan := func() (pid int) {
		l := r.startLauncher(launcherOrder{Steps: podrig.Serve, Stay: true})
		pid = l.launched()
		l.kill(syscall.SIGKILL)
		return pid
	}
	pid := orphan()
	pod, err := r.L.Attach(t.Context(), "alice")
	if err != nil {
		t.Fatal(err)
	}
	if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	podrig.MustEndBy(t, pod, syscall.SIGKILL)
	podrig.MustBeGone(t, pid)
	if err := pod.Stop(t.Context()); err != nil {
		t.Error(err)
	}

	pid = orphan()
	if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	if err := unix.Waitid(unix.P_PID, pid, nil, unix.WEXITED|unix.WNOWAIT, nil); err != nil {
		t.Fatal(err)
	}
	if st, err := osproc.ReadStat(pid); err != nil || st.State != 'Z' {
		t.Errorf("the pod is no zombie: %+v, %v", st, err)
	}
	_, err = r.L.Attach(t.Context(), "alice")
	podrig.MustBe(t, err, fs.ErrNotExist)
	r.Relaunch("alice")
	if _, err := syscall.Wait4(pid, nil, 0, nil); err != nil {
		t.Error(err)
	}
}

// D21: the garbage collector takes nothing that is in use: files have finalizers.
func d21(t *testing.T) {
	defer debug.SetGCPercent(debug.SetGCPercent(1))
	ctx, stop := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	defer wg.Wait()
	defer stop()
	wg.Go(func() {
		for ctx.Err() == nil {
			runtime.GC()
		}
	})
	r := newRig(t)
	for range 3 {
		r.L.Command = podrig.Script("repeat 100 line %d", "exit 3")
		podrig.MustBe(t, r.Fail(t.Context(), podrig.Alice), launcher.ErrExitedEarly)
		r.L.Command = podrig.Script(podrig.Serve...)
		pod := r.Launch(podrig.Alice)
		r.MustRefuse(t.Context(), &r.L, launcher.ErrRunning)
		again := r.MustAttach(pod)
		podrig.Ping(t, again)
		if err := again.Stop(t.Context()); err != nil {
			t.Error(err)
		}
	}
}

// forkStorm has the program start processes all the time until the test is over:
// each holds copies of all descriptors, for the moment between fork and exec.
// None of them must be signalled.
func forkStorm(t *testing.T) {
	t.Helper()
	if testing.Short() {
		t.Skip("skipped with -short: it is a storm of processes")
	}
	ctx, stop := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	t.Cleanup(func() {
		stop()
		wg.Wait()
	})
	for range 3 {
		wg.Go(func() {
			for ctx.Err() == nil {
				if err := exec.Command("/bin/true").Run(); err != nil {
					t.Errorf("a child that has to do with nothing: %v", err)
					return
				}
			}
		})
	}
}

// D23: the launch lock is free as soon as the launch is over, even if other children
// have just been forked. The pod's lock is never free while the pod lives.
func d23(t *testing.T) {
	r := newRig(t, podrig.Serve...)
	forkStorm(t)
	for range 10 {
		pod, err := r.L.Launch(t.Context(), podrig.Alice)
		if err != nil {
			t.Fatal(err)
		}
		if f, err := r.Lock(".launch"); err != nil {
			t.Errorf("the launch lock: %v", err)
		} else {
			f.Close()
		}
		if f, err := r.Lock(".pod"); !errors.Is(err, syscall.EWOULDBLOCK) {
			t.Errorf("the pod's lock: %v", err)
		} else {
			f.Close()
		}
		if err := pod.Stop(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
}

// D24: a launcher that has no standard descriptors gives its pod the same as any
// other.
func d24(t *testing.T) {
	r := newRig(t)
	list := filepath.Join(r.Base, "fds")
	l := r.startLauncher(launcherOrder{Steps: []string{"fds " + list, "listen", "ready", "hang"}}, func(c *exec.Cmd) {
		c.Path, c.Args = "/bin/sh", []string{"sh", "-c", `exec "$0" <&- >&- 2>&-`, os.Args[0]}
	})
	pid := l.launched()
	data, err := os.ReadFile(list)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"0 " + os.DevNull, "1 " + os.DevNull,
		"2 " + filepath.Join(r.Dir("alice"), logsource.DefaultName),
		"20 " + r.Beside("alice", ".pod"),
	} {
		if !slices.Contains(strings.Split(string(data), "\n"), want) {
			t.Errorf("the pod lacks %q; it has:\n%s", want, data)
		}
	}
	l.exit()
	r.mustServe(pid)
}

// D25: a pod inherits ignored signals, as every process does. SIGKILL ends a pod that
// does not undo that.
func d25(t *testing.T) {
	if !podrig.Alone(t) { // for os/signal cannot undo Ignore
		return
	}
	signal.Ignore(syscall.SIGTERM, syscall.SIGINT, syscall.SIGHUP)
	r := newRig(t)
	r.L.Grace = podrig.Short
	// The pod is a shell, because Go's runtime does undo it.
	never := r.Fifo("never")
	r.L.Command = launcher.CommandResolverFunc(func(_ context.Context, req launcher.Request) (launcher.Command, error) {
		args := fakepod.Args(req.Spec.Name, req.RuntimeDir, podrig.Serve, nil)
		return launcher.Command{
			Path: "/bin/sh",
			Args: append([]string{"-c", `"$0" "$@"; read line < "` + never + `"`, podrig.Pod}, args...),
		}, nil
	})
	pod := r.Launch(podrig.Alice)
	if err := pod.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	podrig.MustEndBy(t, pod, syscall.SIGKILL)
	podrig.MustBeGone(t, pod.PID())
}

// D26: what a terminal does to its launcher does not reach the pod.
func d26(t *testing.T) {
	for _, c := range []struct {
		name string
		do   func(terminal *os.File) error
		want syscall.Signal // that ends the launcher; 0: it lives
	}{
		{"hangup", func(f *os.File) error { return f.Close() }, syscall.SIGHUP},
		{"interrupt", typing(0x03), syscall.SIGINT},
		{"quit", typing(0x1c), syscall.SIGQUIT},
		// It is led by nobody who could continue it, and so not stopped either.
		{"suspend", typing(0x1a), 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			if testing.Short() && c.name != "hangup" {
				t.Skip("skipped with -short: it starts a launcher for each way to close")
			}
			r := newRig(t)
			terminal, line := openTerminal(t)
			l := r.startLauncher(launcherOrder{Steps: podrig.Serve, Stay: true}, func(cmd *exec.Cmd) {
				cmd.Stdin, cmd.Stdout, cmd.Stderr = line, line, line
				cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
			})
			line.Close()
			pid := l.launched()
			if err := c.do(terminal); err != nil {
				t.Fatal(err)
			}
			if c.want == 0 {
				l.kill(syscall.SIGKILL)
			}
			l.cmd.Wait()
			status := l.cmd.ProcessState.Sys().(syscall.WaitStatus)
			// Go's runtime exits by itself on SIGQUIT; and the end of the input,
			// at which this launcher exits, may reach it before SIGHUP does.
			byItself := c.want == syscall.SIGQUIT && status.ExitStatus() == 2 || c.want == syscall.SIGHUP && status.ExitStatus() == 0
			if c.want != 0 && status.Signal() != c.want && !byItself {
				t.Errorf("the launcher ended with %v, want %v", l.cmd.ProcessState, c.want)
			}
			r.mustServe(pid)
		})
	}
}

// typing types one key.
func typing(key byte) func(terminal *os.File) error {
	return func(terminal *os.File) error {
		_, err := terminal.Write([]byte{key})
		return err
	}
}

// openTerminal returns a terminal's two ends (pty(7)): its window, and the line
// that a program is on.
func openTerminal(t *testing.T) (window, line *os.File) {
	t.Helper()
	window, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Skipf("NOT RUN: there are no pseudo-terminals here: %v", err)
	}
	t.Cleanup(func() { window.Close() })
	var number int
	if err = unix.IoctlSetPointerInt(int(window.Fd()), unix.TIOCSPTLCK, 0); err == nil {
		number, err = unix.IoctlGetInt(int(window.Fd()), unix.TIOCGPTN)
	}
	if err != nil {
		t.Fatal(err)
	}
	line, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", number), os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { line.Close() })
	return window, line
}

// D27: a stopped pod would be killed with its launcher's session, were it of
// that (setpgid(2), "orphaned process group").
func d27(t *testing.T) {
	r := newRig(t)
	l := r.startLauncher(launcherOrder{Steps: podrig.Serve, Stay: true}, func(c *exec.Cmd) {
		c.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	})
	pid := l.launched()
	if err := syscall.Kill(pid, syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	mustBeStopped := func() {
		t.Helper()
		for {
			// There is no event for who is not its parent.
			st, err := osproc.ReadStat(pid)
			if err != nil || st.Dead() {
				t.Fatalf("%+v, %v", st, err)
			}
			if st.State == 'T' {
				return
			}
			runtime.Gosched()
		}
	}
	mustBeStopped()
	l.exit()
	mustBeStopped()
	if err := syscall.Kill(pid, syscall.SIGCONT); err != nil {
		t.Fatal(err)
	}
	r.mustServe(pid)
}

// D29: what the whole program shares may change at any time: a launch has taken
// what it needs once, and files have the modes that they are to have.
func d29(t *testing.T) {
	r := newRig(t, podrig.Serve...)
	home, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	mask := syscall.Umask(0)
	dirs := []string{t.TempDir(), t.TempDir()}
	ctx, stop := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	t.Cleanup(func() {
		stop()
		wg.Wait()
		syscall.Umask(mask)
		if err := os.Chdir(home); err != nil {
			t.Error(err)
		}
	})
	t.Setenv("PODLAUNCH_TEST_NOISE", "")
	if err := os.Chdir(dirs[0]); err != nil {
		t.Fatal(err)
	}
	wg.Go(func() {
		for n := 0; ctx.Err() == nil; n++ {
			// The pod has one of these too, and its socket needs the owner's w.
			syscall.Umask([]int{0, 0o577, 0o022}[n%3])
			os.Setenv("PODLAUNCH_TEST_NOISE", fmt.Sprint(n))
			if err := os.Chdir(dirs[n%2]); err != nil {
				t.Error(err)
			}
		}
	})
	for range 10 {
		pod := r.Launch(launcher.Spec{Name: "alice", LogStdout: true})
		if cwd, err := os.Readlink(fmt.Sprintf("/proc/%d/cwd", pod.PID())); err != nil || !slices.Contains(dirs, cwd) {
			t.Errorf("the pod is in %q, %v", cwd, err)
		}
		for path, want := range map[string]fs.FileMode{
			pod.RuntimeDir():             fs.ModeDir | 0o700,
			pod.LogPath():                0o600,
			r.Beside("alice", ".json"):   0o600,
			r.Beside("alice", ".pod"):    0o600,
			r.Beside("alice", ".launch"): 0o600,
		} {
			if fi, err := os.Lstat(path); err != nil || fi.Mode() != want {
				t.Errorf("%s: mode %v, %v, want %v", path, fi.Mode(), err, want)
			}
		}
		podrig.Ping(t, pod)
		if err := pod.Stop(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
}

// D30: somebody cleans the locks away under a pod that runs: its record still
// protects it.
func d30(t *testing.T) {
	r := newRig(t, podrig.Serve...)
	pod := r.Launch(podrig.Alice)
	if err := errors.Join(os.Remove(r.Beside("alice", ".launch")), os.Remove(r.Beside("alice", ".pod"))); err != nil {
		t.Fatal(err)
	}
	r.MustRefuse(t.Context(), &r.L, launcher.ErrRunning)
	if err := r.MustAttach(pod).Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	r.Relaunch("alice")
}

// D31: a record that somebody spoils costs no pod: nobody is signalled for what
// cannot be read. The error names the file, or the processes that hold the name.
func d31(t *testing.T) {
	r := newRig(t, podrig.Serve...)
	for what, c := range map[string]struct {
		spoil   func(record []byte) []byte
		unclear bool // it is not the beginning of a record either
	}{
		"empty":   {func([]byte) []byte { return nil }, false},
		"torn":    {func(b []byte) []byte { return b[:len(b)/4] }, false},
		"garbage": {func([]byte) []byte { return []byte("\x00\xff{]") }, true},
		"huge":    {func(b []byte) []byte { return append(bytes.Repeat([]byte(" "), 5<<20), b...) }, true},
		"foreign": {func(b []byte) []byte { return bytes.ReplaceAll(b, []byte(`"alice"`), []byte(`"bob"`)) }, true},
	} {
		t.Run(what, func(t *testing.T) {
			r.T = t
			pod := r.Launch(podrig.Alice)
			path := r.Beside("alice", ".json")
			record, err := os.ReadFile(path)
			if err == nil {
				err = os.WriteFile(path, c.spoil(record), 0o600)
			}
			if err != nil {
				t.Fatal(err)
			}
			_, attachErr := r.L.Attach(t.Context(), "alice")
			var listErr error
			for s, err := range r.L.List(t.Context()) {
				if listErr = err; err == nil {
					t.Errorf("List yields %+v", s)
				}
			}
			_, launchErr := r.L.Launch(t.Context(), podrig.Alice)
			_, _, ensureErr := r.L.Ensure(t.Context(), podrig.Alice)
			if c.unclear {
				for _, err := range []error{attachErr, listErr, launchErr, ensureErr} {
					podrig.MustSay(t, err, "cannot be told", path, "remove the file")
				}
				if errors.Is(attachErr, fs.ErrNotExist) {
					t.Errorf("Attach returned %v", attachErr)
				}
			} else {
				podrig.MustBe(t, attachErr, launcher.ErrHeld)
				podrig.MustSay(t, listErr, "cannot be told", r.Beside("alice", ".pod"), "Launcher.Stop ends them")
				for _, err := range []error{launchErr, ensureErr} {
					podrig.MustBe(t, err, launcher.ErrHeld)
					podrig.MustSay(t, err, fmt.Sprintf("[%d (pod)]", pod.PID()), "Launcher.Stop ends them")
				}
			}
			podrig.MustLive(t, pod)
			podrig.Ping(t, pod)
			if err := errors.Join(pod.Stop(t.Context()), os.Remove(path)); err != nil {
				t.Fatal(err)
			}
			r.Relaunch("alice")
		})
	}
}

// D33: system calls that a signal interrupts are made again.
func d33(t *testing.T) {
	alarms := make(chan os.Signal, 1)
	signal.Notify(alarms, syscall.SIGALRM)
	defer signal.Stop(alarms)
	const every = 500 // microseconds
	timer := unix.Itimerval{Interval: unix.Timeval{Usec: every}, Value: unix.Timeval{Usec: every}}
	if _, err := unix.Setitimer(unix.ItimerReal, timer); err != nil {
		t.Fatal(err)
	}
	defer unix.Setitimer(unix.ItimerReal, unix.Itimerval{})
	r := newRig(t)
	for range 3 {
		<-alarms
		r.L.Command = podrig.Script("repeat 100 line %d", "exit 3")
		podrig.MustBe(t, r.Fail(t.Context(), podrig.Alice), launcher.ErrExitedEarly)
		r.L.Command = podrig.Script(podrig.Serve...)
		pod := r.Launch(podrig.Alice)
		r.MustRefuse(t.Context(), &r.L, launcher.ErrRunning)
		if err := r.MustAttach(pod).Stop(t.Context()); err != nil {
			t.Error(err)
		}
	}
}

// D34: a lock that somebody who was just forked holds for a moment is waited
// for; nobody is ended for it.
func d34(t *testing.T) {
	r := newRig(t)
	forkStorm(t)
	for range 10 {
		r.L.Command = podrig.Script("exit 3")
		_, err := r.L.Launch(t.Context(), podrig.Alice)
		podrig.MustBe(t, err, launcher.ErrExitedEarly)
		var e *launcher.Error
		if !errors.As(err, &e) || e.Leftover != nil || len(e.Notes) > 0 && strings.Contains(e.Error(), "were ended") {
			t.Errorf("%+v", err)
		}
		r.L.Command = podrig.Script(podrig.Serve...)
		pod, err := r.L.Launch(t.Context(), podrig.Alice)
		if err != nil {
			t.Fatal(err)
		}
		if err := pod.Stop(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
}
