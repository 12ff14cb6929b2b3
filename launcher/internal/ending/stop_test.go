//go:build linux

package ending_test

import (
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/podlaunch/podlaunch/launcher"
	"github.com/podlaunch/podlaunch/launcher/internal/leaktest"
	"github.com/podlaunch/podlaunch/launcher/internal/podrig"
	"github.com/podlaunch/podlaunch/readiness"
)

// closed is a program that closes its descriptors, and tells its pid.
const closed = `perl -e 'use POSIX; POSIX::close($_) for 3..255; open F, ">>", "$ENV{OUT}/pids"; print F "$$\n"; close F; sleep 1000'`

// W1: the grace is for all that belongs to the pod, also behind a shell that dies of
// SIGTERM at once.
func TestGraceIsForAll(t *testing.T) {
	leaktest.Parallel(t)
	r := newRig(t)
	r.shell(`"$0" "$@" & wait`, "onterm sleep 300ms ; file "+r.path("saved")+" all", "listen", "ready", "hang")
	pod := r.Launch(podrig.Alice)
	if err := pod.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(r.path("saved")); err != nil {
		t.Errorf("it had no time to save its work: %v", err)
	}
}

// W2: the first process of a ready pod dies, and a worker lives on. Stop ends the worker,
// both through the handle that launched the pod and through a handle that attached before.
func TestStopAfterTheFirstDied(t *testing.T) {
	leaktest.Parallel(t)
	for _, attached := range []bool{false, true} {
		t.Run(fmt.Sprintf("attached %v", attached), func(t *testing.T) {
			r := newRig(t)
			r.shell(`sleep 1000 & echo $! >>"$OUT/pids"; exec "$0" "$@"`, podrig.Serve...)
			pod := r.Launch(podrig.Alice)
			worker := r.await(1)
			handle := pod
			if attached {
				handle = r.MustAttach(pod)
			}
			podrig.Kill(t, pod)
			<-handle.Done()
			if !lives(worker[0]) {
				t.Fatal("the worker has ended by itself")
			}
			if err := handle.Stop(t.Context()); err != nil {
				t.Error(err)
			}
			r.mustBeGone(worker)
			r.Relaunch("alice")
		})
	}
}

// A handle of a pod that is gone does nothing to the next pod of the name.
func TestStopOfAnEarlierPod(t *testing.T) {
	leaktest.Parallel(t)
	r := newRig(t, podrig.Serve...)
	first := r.Launch(podrig.Alice)
	podrig.Kill(t, first)
	second := r.Launch(podrig.Alice)
	for _, end := range []func() error{
		func() error { return first.Stop(t.Context()) }, func() error { return first.Kill(t.Context()) },
	} {
		if err := end(); err != nil {
			t.Error(err)
		}
	}
	podrig.MustLive(t, second)
	podrig.Ping(t, second)
	podrig.MustBe(t, first.Signal(t.Context(), syscall.SIGKILL), os.ErrProcessDone)
	podrig.MustLive(t, second)
}

// W6: a pod is stopped by the signal that its Spec names, also by who has attached to it.
func TestStopSignal(t *testing.T) {
	leaktest.Parallel(t)
	for _, attached := range []bool{false, true} {
		r := newRig(t, "ignore TERM", "listen", "ready", "hang")
		pod := r.Launch(launcher.Spec{Name: "alice", StopSignal: syscall.SIGINT})
		handle := pod
		if attached {
			handle = r.MustAttach(pod)
		}
		if err := handle.Stop(t.Context()); err != nil {
			t.Fatal(err)
		}
		podrig.MustEndBy(t, pod, syscall.SIGINT)
	}
	for _, spec := range []launcher.Spec{{StopSignal: -1}, {StopSignal: 65}, {KillMode: 3}, {KillMode: -1}} {
		spec.Name = "bob"
		r := newRig(t, podrig.Serve...)
		podrig.MustBe(t, r.Fail(t.Context(), spec), launcher.ErrInvalidSpec)
	}
}

// W7: whom the stop signal goes to, and who is ended. The parent asks its worker to
// finish, and waits for it; a worker that is signalled besides says so.
func TestKillModes(t *testing.T) {
	leaktest.Parallel(t)
	const script = `
(trap 'echo worker was signalled >>"$OUT/said"' TERM; trap 'finish=1' USR1
 echo $(exec sh -c 'echo $PPID') >>"$OUT/pids"; while [ -z "$finish" ]; do sleep 0.01; done
 echo worker has finished >>"$OUT/said") &
worker=$!
trap 'kill -USR1 $worker; wait $worker; kill -KILL $served; exit 0' TERM
"$0" "$@" &
served=$!
while :; do sleep 0.01; done`
	for _, mode := range []launcher.KillMode{launcher.KillAll, launcher.KillMixed, launcher.KillFirst} {
		r := newRig(t)
		r.shell(script, podrig.Serve...)
		r.L.Ready = anybody
		pod := r.Launch(launcher.Spec{Name: "alice", KillMode: mode})
		worker := r.await(1)
		if err := pod.Stop(t.Context()); err != nil {
			t.Errorf("mode %d: %v", mode, err)
		}
		r.mustBeGone(worker)
		said, _ := os.ReadFile(r.path("said"))
		if got := strings.Contains(string(said), "worker was signalled"); got != (mode == launcher.KillAll) || !strings.Contains(string(said), "worker has finished") {
			t.Errorf("mode %d: %q", mode, said)
		}
	}
}

// KillMixed ends who is left with SIGKILL; KillFirst leaves them, and the name is held
// until they have gone.
func TestWhatIsLeftByKillMode(t *testing.T) {
	leaktest.Parallel(t)
	for _, mode := range []launcher.KillMode{launcher.KillMixed, launcher.KillFirst} {
		r := newRig(t)
		r.L.Grace = 50 * time.Millisecond
		r.shell(`sh -c 'trap "" TERM; echo $$ >>"$OUT/pids"; while :; do sleep 1000; done' & exec "$0" "$@"`, podrig.Serve...)
		pod := r.Launch(launcher.Spec{Name: "alice", KillMode: mode})
		worker := r.await(1)
		if err := pod.Stop(t.Context()); err != nil {
			t.Errorf("mode %d: %v", mode, err)
		}
		if got := lives(worker[0]); got != (mode == launcher.KillFirst) {
			t.Errorf("mode %d: that the worker lives is %v", mode, got)
		}
		if mode == launcher.KillFirst {
			r.MustRefuse(t.Context(), &r.L, launcher.ErrHeld)
		}
		if err := r.L.Stop(t.Context(), "alice"); err != nil {
			t.Error(err)
		}
		r.mustBeGone(worker)
	}
}

// A worker that has got away, and that only its lock tells, is found before the first process
// ends: then the lock may be another pod's.
func TestStopEndsWhoHasTheLock(t *testing.T) {
	leaktest.Parallel(t)
	for _, mode := range []launcher.KillMode{launcher.KillAll, launcher.KillMixed} {
		r := newRig(t)
		r.L.Grace = 300 * time.Millisecond
		r.shell(`setsid env -u POD_LAUNCH_ID sh -c 'echo $$ >>"$OUT/pids"; exec sleep 1000' & exec "$0" "$@"`, podrig.Serve...)
		pod := r.Launch(launcher.Spec{Name: "alice", KillMode: mode})
		worker := r.await(1)
		if err := pod.Stop(t.Context()); err != nil {
			t.Errorf("mode %d: %v", mode, err)
		}
		if lives(worker[0]) {
			t.Errorf("mode %d: the worker lives", mode)
			syscall.Kill(worker[0], syscall.SIGKILL)
		}
	}
}

// W9: a signal reaches only the first process, through its pidfd. That holds for a pod
// from Launch and for a pod from Attach.
func TestSignal(t *testing.T) {
	leaktest.Parallel(t)
	r := newRig(t)
	// Not SIGHUP, which nohup(1) has ignored, and a shell cannot trap then.
	r.shell(`trap 'echo first >>"$OUT/said"' USR1
(trap 'echo child >>"$OUT/said"' USR1; while :; do sleep 0.01; done) &
"$0" "$@" &
while :; do sleep 0.01; done`, podrig.Serve...)
	r.L.Ready = anybody
	pod := r.Launch(podrig.Alice)
	attached := r.MustAttach(pod)
	for n, p := range []*launcher.Pod{pod, attached} {
		if err := p.Signal(t.Context(), syscall.SIGUSR1); err != nil {
			t.Fatal(err)
		}
		for end := time.Now().Add(podrig.Ample); ; time.Sleep(time.Millisecond) {
			said, _ := os.ReadFile(r.path("said"))
			if got := strings.Fields(string(said)); len(got) > n {
				if strings.Contains(string(said), "child") {
					t.Errorf("it has reached %q", got)
				}
				break
			}
			if time.Now().After(end) {
				t.Fatal("it has not come")
			}
		}
	}
	released := r.MustAttach(pod)
	released.Release()
	if err := released.Signal(t.Context(), syscall.SIGKILL); err == nil {
		t.Error("a released pod was signalled")
	}
	if err := pod.Kill(t.Context()); err != nil {
		t.Fatal(err)
	}
	podrig.MustEndBy(t, pod, syscall.SIGKILL)
	podrig.MustBe(t, pod.Signal(t.Context(), syscall.SIGHUP), os.ErrProcessDone)
	podrig.MustBe(t, attached.Signal(t.Context(), syscall.SIGHUP), os.ErrProcessDone)
}

// Kill does not wait for the grace, also if a Stop has begun it.
func TestKill(t *testing.T) {
	leaktest.Parallel(t)
	r := newRig(t, "ignore TERM", "listen", "ready", "hang")
	r.L.Grace = time.Hour
	pod := r.Launch(podrig.Alice)
	stopped := make(chan error)
	go func() { stopped <- pod.Stop(t.Context()) }()
	if err := pod.Kill(t.Context()); err != nil {
		t.Error(err)
	}
	if err := <-stopped; err != nil {
		t.Error(err)
	}
	podrig.MustEndBy(t, pod, syscall.SIGKILL)
}

// StopWith stops the pod with a context.
func TestStopWith(t *testing.T) {
	leaktest.Parallel(t)
	r := newRig(t, podrig.Serve...)
	pod := r.Launch(podrig.Alice)
	ctx, cancel := contextOf(t)
	pod.StopWith(ctx)
	podrig.MustLive(t, pod)
	cancel()
	<-pod.Done()
	podrig.MustEndBy(t, pod, syscall.SIGTERM)
}

// W8: a pod whose launch fails has AbortGrace to clean up what it holds elsewhere.
func TestAbortGrace(t *testing.T) {
	leaktest.Parallel(t)
	saved := filepath.Join(t.TempDir(), "saved")
	r := newRig(t, "onterm file "+saved+" all", "say up", "hang")
	r.L.AbortGrace = podrig.Ample
	ctx, cancel := contextOf(t)
	r.L.Timeout = -1
	spec := podrig.Alice
	spec.Progress = func(string) { cancel() }
	e := r.Fail(ctx, spec)
	if _, err := os.Stat(saved); err != nil {
		t.Errorf("it had no time to clean up: %v; %v", err, e)
	}
	// However long it is, what a pod that goes by itself takes is not "too long".
	r.L.AbortGrace = math.MaxInt64
	ctx, cancel = contextOf(t)
	if e := r.Fail(ctx, spec); e.Leftover != nil {
		t.Error(e.Leftover)
	}
	// A pod that ignores the signal ends all the same.
	r.L.AbortGrace = time.Millisecond
	r.L.Command = podrig.Script("ignore TERM", "say up", "hang")
	ctx, cancel = contextOf(t)
	e = r.Fail(ctx, spec)
	if e.Leftover != nil {
		t.Error(e.Leftover)
	}
}

// A slow Signal of an engine holds up neither Done nor another Stop.
func TestSignalThatHangs(t *testing.T) {
	leaktest.Parallel(t)
	if testing.Short() {
		t.Skip("skipped with -short: it waits for the two seconds that a signal has")
	}
	r := newRig(t, podrig.Serve...)
	slow := &slowStarter{gate: make(chan struct{})}
	r.L.Starter = slow
	pod := r.Launch(podrig.Alice)
	ctx, cancel := contextOf(t)
	stopped := make(chan error)
	go func() { stopped <- pod.Stop(ctx) }()
	for slow.began.Load() == 0 {
		time.Sleep(time.Millisecond)
	}
	other, enough := contextOf(t)
	enough()
	if err := pod.Stop(other); err == nil {
		t.Error("a Stop without time returned no error")
	}
	cancel()
	if err := <-stopped; err == nil {
		t.Error("Stop returned no error")
	}
	if err := syscall.Kill(pod.PID(), syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	<-pod.Done()
	close(slow.gate)
	if n := slow.late.Load(); n != 0 {
		t.Errorf("%d signals were sent after Reap", n)
	}
}

// W5: a daemon that closes its descriptors and goes to the background before it is ready
// is ended: what it was executed with has the pod's mark.
func TestDaemonBeforeItIsReady(t *testing.T) {
	leaktest.Parallel(t)
	r := newRig(t)
	r.shell(`setsid ` + closed + ` & while [ ! -s "$OUT/pids" ]; do sleep 0.01; done; exit 0`)
	e := r.Fail(t.Context(), podrig.Alice)
	podrig.MustBe(t, e, launcher.ErrExitedEarly)
	podrig.MustSay(t, e, "may have gone to the background", "has to stay in the foreground")
	r.mustBeGone(r.await(1))
}

// A pod that a pod has launched is a pod of its own.
func TestPodOfAPodStays(t *testing.T) {
	leaktest.Parallel(t)
	r := newRig(t)
	r.shell(`POD_LAUNCH_ID=another setsid `+closed+` & exec "$0" "$@"`, podrig.Serve...)
	pod := r.Launch(podrig.Alice)
	other := r.await(1)
	if err := pod.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	if !lives(other[0]) {
		t.Error("the other pod was ended")
	}
	syscall.Kill(other[0], syscall.SIGKILL)
}

// ways are twelve ways to get away.
var ways = []struct {
	name, script string
	n            int
	gets         bool // away
}{
	{"group", `sleep 1000 & echo $! >>"$OUT/pids"`, 1, false},
	{"session", `setsid sh -c 'echo $$ >>"$OUT/pids"; exec sleep 1000' &`, 1, false},
	{"group of its own", `perl -e 'setpgrp; open F, ">>", "$ENV{OUT}/pids"; print F "$$\n"; close F; sleep 1000' &`, 1, false},
	{"double fork", `(setsid sh -c 'sleep 1000 & echo $! >>"$OUT/pids"' &)`, 1, false},
	{"closed descriptors", `setsid ` + closed + ` &`, 1, false},
	{"daemon", `perl -e '` + strings.ReplaceAll(daemon, "PIDS", "$ENV{OUT}/pids") + `'`, 1, false},
	{"exec", `setsid sh -c 'exec sh -c "exec sh -c \"echo \\\$\\\$ >>$OUT/pids; exec sleep 1000\""' &`, 1, false},
	{"ignored signals", `setsid sh -c 'trap "" TERM HUP INT; echo $$ >>"$OUT/pids"; while :; do sleep 1000; done' &`, 1, false},
	{"stopped", `setsid sh -c 'echo $$ >>"$OUT/pids"; kill -STOP $$; exec sleep 1000' &`, 1, false},
	{"200 forks", `setsid sh -c 'for i in $(seq 200); do setsid sh -c "echo \$\$ >>$OUT/pids; exec sleep 1000" & done; wait' &`, 200, false},
	{"exec after exec", `perl -e '` + strings.Replace(strings.ReplaceAll(daemon, "PIDS", "$ENV{OUT}/pids"), "sleep 1000", again, 1) + `'`, 1, false},
	{"daemon without environment", `out=$OUT; env -i perl -e '` + strings.ReplaceAll(daemon, `"PIDS"`, `shift`) + `' "$out/pids"`, 1, true},
}

// lateHeir is a pod's server that, once it gets SIGTERM, starts a process with nothing of its
// own but the lock, and ends when that executes.
const lateHeir = `use POSIX; $SIG{TERM} = sub { pipe my $r, my $w; if (fork) { close $w; <$r>; exit 0 } close $r; setsid; open F, ">>", "$ENV{OUT}/pids"; print F "$$\n"; close F; %ENV = (); exec "sleep", "1000" }; ` +
	`print STDERR "INSOMNIA-READY\t$ENV{POD_NAME}\t/nowhere\n"; sleep 1000`

// A process that has nothing of the pod but its lock is found also if it was started after the
// first look, when the first process has ended.
func TestLateHeirs(t *testing.T) {
	leaktest.Parallel(t)
	for _, mode := range []launcher.KillMode{launcher.KillAll, launcher.KillMixed} {
		r := newRig(t)
		r.L.Ready, r.L.Grace = readiness.ReadyLine{}, 300*time.Millisecond // it has SIGTERM blocked
		r.shell(`exec perl -e '` + lateHeir + `'`)
		pod := r.Launch(launcher.Spec{Name: "alice", KillMode: mode})
		if err := pod.Stop(t.Context()); err != nil {
			t.Error(err)
		}
		r.mustBeGone(r.await(1))
	}
}

// doubleFork is a program that leaves a process in the background when it gets SIGTERM.
const doubleFork = `trap 'setsid sh -c "sleep 1000 & exit" & exit' TERM
printf 'INSOMNIA-READY\t%s\t/nowhere\n' "$POD_NAME" >&2; while :; do sleep 0.01; done`

// A process whose parents come and go while a Stop looks is found.
func TestDoubleForkDuringStop(t *testing.T) {
	leaktest.Parallel(t)
	for range podrig.Size(t, 4, 8, 400) {
		r := newRig(t)
		r.L.Ready = readiness.ReadyLine{}
		r.shell(doubleFork)
		pod := r.Launch(podrig.Alice)
		if err := pod.Stop(t.Context()); err != nil {
			t.Error(err)
		}
		r.nobodyIsLeft()
	}
}

// daemon is a program that leaves its parent, group, session and descriptors.
const daemon = `use POSIX; POSIX::close($_) for 3..255; fork and exit; setsid; fork and exit; open F, ">>", "PIDS"; print F "$$\n"; close F; sleep 1000`

// again does nothing but execute itself, and ignores SIGTERM.
const again = `$SIG{TERM} = "IGNORE"; $ENV{AGAIN} = q{exec $^X, "-e", $ENV{AGAIN}}; exec $^X, "-e", $ENV{AGAIN}`

// Where there is no cgroup, what has neither parent, group, session, lock nor
// environment of the pod is not found: docs/lifecycle.md says so.
func TestGetAway(t *testing.T) {
	leaktest.Parallel(t)
	for i, way := range ways {
		t.Run(way.name, func(t *testing.T) {
			if testing.Short() && i >= 5 {
				t.Skip("skipped with -short, as the ways after the fifth are")
			}
			r := newRig(t)
			r.L.Grace = 300 * time.Millisecond
			r.shell(way.script+"\n"+`exec "$0" "$@"`, podrig.Serve...)
			pod := r.Launch(podrig.Alice)
			pids := r.await(way.n)
			err := pod.Stop(t.Context())
			if err != nil {
				t.Error(err)
			}
			if !way.gets {
				r.mustBeGone(pids)
				return
			}
			for _, pid := range pids {
				if !lives(pid) {
					t.Error("it was found: say so in docs/lifecycle.md")
				}
				syscall.Kill(pid, syscall.SIGKILL)
			}
		})
	}
}

// W4: what a pod has started in other groups and sessions goes with a launch that fails,
// and is named.
func TestFailedLaunchEndsAll(t *testing.T) {
	leaktest.Parallel(t)
	r := newRig(t)
	r.failWith(2)
	r.shell(`setsid ` + closed + ` &
perl -e 'setpgrp; open F, ">>", "$ENV{OUT}/pids"; print F "$$\n"; close F; sleep 1000' & sleep 1000`)
	e := r.Fail(t.Context(), podrig.Alice)
	pids := r.await(2)
	r.mustBeGone(pids)
	podrig.MustSay(t, e, "had left its group, and were ended")
	if e.Leftover != nil {
		t.Error(e.Leftover)
	}
}
