//go:build linux

package ending_test

import (
	"context"
	"errors"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/podlaunch/podlaunch/launcher"
	"github.com/podlaunch/podlaunch/launcher/internal/leaktest"
	"github.com/podlaunch/podlaunch/launcher/internal/osproc"
	"github.com/podlaunch/podlaunch/launcher/internal/podrig"
	"github.com/podlaunch/podlaunch/readiness"
	"golang.org/x/sys/unix"
)

// W31: a process that was started and ends with an error is no daemon in the background,
// also if its probe sees it end before the launcher does.
func TestAdoptsNobodyAfterABadEnd(t *testing.T) {
	leaktest.Parallel(t)
	for range podrig.Size(t, 3, 10, 200) {
		r := newRig(t)
		r.shell(`setsid "$0" "$@" & echo $! >"$OUT/pid"; sleep 0.01; exit 4`, "hang")
		r.L.Ready = readiness.PIDFile{Path: r.path("pid"), Schedule: readiness.Schedule{Interval: 20 * time.Microsecond}}
		err := r.Fail(t.Context(), podrig.Alice)
		podrig.MustBe(t, err, launcher.ErrExitedEarly)
		podrig.MustSay(t, err, "exit status 4")
		r.nobodyIsLeft()
	}
}

// W31: what an adopted process has started, and what is in its group alone, ends with a
// launch that fails, as it does with a pod in the foreground.
func TestFailedLaunchEndsTheAdoptedGroup(t *testing.T) {
	leaktest.Parallel(t)
	r := newRig(t)
	r.write("main", `echo $$ >"$OUT/pid"; while [ ! -e "$OUT/go" ]; do sleep 0.01; done; sleep 1000 & echo $! >"$OUT/worker"; exit 4`)
	r.shell(`setsid env -u POD_LAUNCH_ID perl -MPOSIX -e 'POSIX::close(20); exec @ARGV' sh "$OUT/main" &
		while [ ! -e "$OUT/proven" ]; do sleep 0.01; done; exit 0`, "hang")
	prove := func(ctx context.Context, target readiness.Target) (readiness.Endpoint, error) {
		defer r.write("proven", "") // from now on nothing would prove it
		return target.Endpoint, target.Kin.Prove(ctx, r.pidIn("pid"))
	}
	r.L.Ready = readiness.Sequence{r.written("pid"), readiness.ProbeFunc(prove), readiness.PIDFile{Path: r.path("pid")}, readiness.Poll{Check: func(context.Context, readiness.Target) (readiness.Endpoint, error) {
		r.write("go", "")
		return readiness.Endpoint{}, errors.New("never")
	}}}
	r.Fail(t.Context(), podrig.Alice)
	if worker := r.pidIn("worker"); lives(worker) {
		t.Errorf("pid %d is left", worker)
		syscall.Kill(worker, syscall.SIGKILL)
	}
}

// A proving probe proves a process with a context that is done.
type proving struct {
	r      *rig
	proven error
}

func (*proving) Adopts() bool { return true }

func (p *proving) Wait(ctx context.Context, t readiness.Target) (readiness.Endpoint, error) {
	for {
		if text, err := os.ReadFile(p.r.path("pid")); err == nil && len(text) > 1 {
			break
		}
		time.Sleep(time.Millisecond)
	}
	done, cancel := context.WithCancel(ctx)
	cancel()
	for range 20 {
		if p.proven = t.Kin.Prove(done, p.r.pidIn("pid")); errors.Is(p.proven, readiness.ErrUnproven) {
			break
		}
	}
	return readiness.Endpoint{}, errors.New("enough")
}

// A probe may ask the Kin of a launch that is over. A later pod of the name, which has the lock by
// then, is not proven to be of the first one, and a Stop of that does not end it.
func TestProveAfterTheLaunch(t *testing.T) {
	leaktest.Parallel(t)
	r := newRig(t)
	var kin readiness.Kin
	up := readiness.File{Path: r.path("up")}
	r.L.Ready = readiness.ProbeFunc(func(ctx context.Context, target readiness.Target) (readiness.Endpoint, error) {
		if kin == nil {
			kin = target.Kin
		}
		return up.Wait(ctx, target)
	})
	run := func() *launcher.Pod {
		r.L.Command = launcher.Exec("/usr/bin/env", "-i", "/bin/sh", "-c", `echo >"$0"; exec sleep 1000`, r.path("up"))
		return r.Launch(podrig.Alice)
	}
	first := run()
	if err := kin.Prove(t.Context(), first.PID()); err != nil {
		t.Errorf("the pod itself: %v", err)
	}
	podrig.Kill(t, first)
	if err := os.Remove(r.path("up")); err != nil {
		t.Fatal(err)
	}
	second := run()
	if err := kin.Prove(t.Context(), second.PID()); !errors.Is(err, readiness.ErrUnproven) {
		t.Errorf("a later pod of the name: %v", err)
	}
	if err := first.Stop(t.Context()); err != nil {
		t.Error(err)
	}
	podrig.MustLive(t, second)
}

// W31: if there is no time to look, that is no verdict on the process.
func TestProveWithoutTime(t *testing.T) {
	leaktest.Parallel(t)
	r := newRig(t)
	r.shell(`setsid env -u POD_LAUNCH_ID sh -c 'echo $$ >"$OUT/pid"; exec sleep 1000' & exit 0`, "hang")
	p := &proving{r: r}
	r.L.Ready = p
	r.Fail(t.Context(), podrig.Alice)
	if errors.Is(p.proven, readiness.ErrUnproven) {
		t.Errorf("Prove returned %v", p.proven)
	}
}

// W31 and D19: in a program that is a subreaper, as pid 1 of a container is, the adopted
// process becomes its child when the started one ends. It is reaped, and how it ended is
// known.
func TestSubreaperAdopts(t *testing.T) {
	if err := unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0); err != nil {
		t.Fatal(err)
	}
	defer unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 0, 0, 0, 0)
	for name, end := range map[string]func(pod *launcher.Pod) error{
		"dies": func(pod *launcher.Pod) error { return syscall.Kill(pod.PID(), syscall.SIGKILL) },
		"stop": func(pod *launcher.Pod) error { return pod.Stop(t.Context()) },
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t)
			r.shell(`setsid "$0" "$@" & echo $! >"$OUT/pid"; sleep 0.1; exit 0`, "hang")
			r.L.Ready = readiness.PIDFile{Path: r.path("pid")}
			pod := r.Launch(podrig.Alice)
			if err := end(pod); err != nil {
				t.Fatal(err)
			}
			exit, err := pod.Wait(t.Context())
			if err != nil || !exit.Known || exit.Signal == 0 {
				t.Errorf("Wait: %v, %v", exit, err)
			}
			if st, err := osproc.ReadStat(pod.PID()); err == nil && st.Parent == os.Getpid() {
				t.Errorf("it is still there, in state %c", st.State)
			}
		})
	}
}

// A program that attaches to a daemon can tell what it was launched with, also if the process that
// was started had ended before that could be recorded.
func TestDigestsOfAQuickDaemon(t *testing.T) {
	leaktest.Parallel(t)
	r := newRig(t)
	r.shell(`setsid "$0" "$@" & echo $! >"$OUT/pid"; exit 0`, serveQuietly...)
	r.L.Ready = readiness.Sequence{readiness.PIDFile{Path: r.path("pid")}, readiness.Unix{}}
	r.L.OverlayTransport = launcher.OverlayAsFile
	spec := podrig.Alice
	spec.Overlay = strings.Repeat("x", 8<<20) // its digest takes longer than the process
	inner := r.L.Command
	r.L.Command = launcher.CommandResolverFunc(func(ctx context.Context, req launcher.Request) (launcher.Command, error) {
		cmd, err := inner.ResolveCommand(ctx, req)
		cmd.Env = append(cmd.Env, "OVERLAY="+req.OverlayPath)
		return cmd, err
	})
	pod := r.Launch(spec)
	attached := r.MustAttach(pod)
	defer attached.Release()
	if parts, err := attached.Differs(spec); len(parts) > 0 || err != nil {
		t.Errorf("it differs in %v, %v", parts, err)
	}
	r.stop(pod)
}

// A vain Starter writes into the arguments that it was given, once they are used.
type vain struct{ launcher.Local }

func (v vain) Start(ctx context.Context, req launcher.StartRequest) (launcher.Process, error) {
	process, err := v.Local.Start(ctx, req)
	req.Command.Args[len(req.Command.Args)-1] = "[hidden]"
	return process, err
}

func TestDigestsAreOfWhatWasAskedFor(t *testing.T) {
	leaktest.Parallel(t)
	r := newRig(t)
	r.shell(`exec "$0" "$@"`, serveQuietly...)
	r.L.Ready, r.L.Starter = readiness.Unix{}, vain{}
	pod := r.Launch(podrig.Alice)
	if parts, err := pod.Differs(podrig.Alice); len(parts) > 0 || err != nil {
		t.Errorf("it differs in %v, %v", parts, err)
	}
	r.stop(pod)
}
