//go:build linux

package ending_test

import (
	"context"
	"os"
	"syscall"
	"testing"
	"time"

	"github.com/podlaunch/podlaunch/launcher"
	"github.com/podlaunch/podlaunch/launcher/internal/leaktest"
	"github.com/podlaunch/podlaunch/launcher/internal/podrig"
	"github.com/podlaunch/podlaunch/readiness"
	"github.com/podlaunch/podlaunch/runtimedir"
)

// launchGone launches a pod that has ended, and has left behind what script starts.
func (r *rig) launchGone(script string) (pod *launcher.Pod, left []int) {
	r.T.Helper()
	r.shell(script+` & exec "$0" "$@"`, podrig.Serve...)
	pod = r.Launch(podrig.Alice)
	left = r.await(1)
	podrig.Kill(r.T, pod)
	<-pod.Done()
	return pod, left
}

// deaf is a program that closes its descriptors, tells its pid, and ignores SIGTERM.
const deaf = `setsid perl -e 'use POSIX; $SIG{TERM} = "IGNORE"; POSIX::close($_) for 3..255; open F, ">>", "$ENV{OUT}/pids"; print F "$$\n"; close F; sleep 1000'`

// Of two that stop what a gone pod has left behind, each has its own context.
func TestTwoStopsOfAGonePod(t *testing.T) {
	leaktest.Parallel(t)
	r := newRig(t)
	r.L.Grace = time.Hour
	pod, left := r.launchGone(deaf)
	ctx, cancel := contextOf(t)
	first := make(chan error)
	go func() { first <- pod.Stop(ctx) }()
	short, cancelShort := context.WithTimeout(t.Context(), podrig.Short)
	defer cancelShort()
	podrig.MustBe(t, pod.Stop(short), context.DeadlineExceeded)
	cancel()
	podrig.MustBe(t, <-first, context.Canceled)
	if err := pod.Kill(t.Context()); err != nil {
		t.Error(err)
	}
	r.mustBeGone(left)
}

// A program without a Pod, because it was started again, ends by name what the pod has left
// behind: also a process that has closed the lock, and has nothing but the launch's id in its
// environment. With KillFirst such a process stays.
func TestStopByNameOfAGonePod(t *testing.T) {
	leaktest.Parallel(t)
	for name, end := range map[string]func(l *launcher.Launcher) error{
		"Stop":   func(l *launcher.Launcher) error { return l.Stop(t.Context(), "alice") },
		"Remove": func(l *launcher.Launcher) error { return l.Remove(t.Context(), "alice") },
	} {
		for _, mode := range []launcher.KillMode{launcher.KillAll, launcher.KillMixed, launcher.KillFirst} {
			t.Run(name+"/"+mode.String(), func(t *testing.T) {
				r := newRig(t)
				r.L.Grace = time.Millisecond
				r.shell(deaf+` & exec "$0" "$@"`, podrig.Serve...)
				pod := r.Launch(launcher.Spec{Name: "alice", KillMode: mode})
				left := r.await(1)
				podrig.Kill(r.T, pod)
				<-pod.Done()
				if err := end(&r.L); err != nil {
					t.Error(err)
				}
				if mode != launcher.KillFirst {
					r.mustBeGone(left)
				} else if !lives(left[0]) {
					t.Error("what the pod left behind was ended")
				}
				for _, pid := range left {
					syscall.Kill(pid, syscall.SIGKILL)
				}
			})
		}
	}
}

// Stop ends what a gone pod has left behind although its base directory was removed.
func TestStopOfAGonePodWithoutBase(t *testing.T) {
	leaktest.Parallel(t)
	r := newRig(t)
	pod, left := r.launchGone(`setsid ` + closed)
	if err := os.Rename(r.Base, r.Base+".away"); err != nil {
		t.Fatal(err)
	}
	if err := pod.Stop(t.Context()); err != nil {
		t.Error(err)
	}
	r.mustBeGone(left)
	if err := os.Rename(r.Base+".away", r.Base); err != nil {
		t.Fatal(err)
	}
}

// A stopped process gets SIGCONT after the stop signal, and so notices it, also when the
// pod is gone.
func TestStoppedLeftoverOfAGonePod(t *testing.T) {
	leaktest.Parallel(t)
	r := newRig(t)
	r.L.Grace = time.Hour
	pod, left := r.launchGone(`setsid perl -e 'use POSIX; POSIX::close($_) for 3..255; open F, ">>", "$ENV{OUT}/pids"; print F "$$\n"; close F; kill STOP => $$; sleep 1000'`)
	ctx, cancel := context.WithTimeout(t.Context(), podrig.Ample)
	defer cancel()
	if err := pod.Stop(ctx); err != nil {
		t.Error(err)
	}
	r.mustBeGone(left)
	if err := pod.Kill(t.Context()); err != nil {
		t.Error(err)
	}
}

// What a pod without a name has left behind is ended as that of another is, also if it has nothing
// of the pod but its lock.
func TestHeirOfAGonePrivatePod(t *testing.T) {
	r := newRig(t)
	t.Setenv("XDG_RUNTIME_DIR", r.Base)
	r.L.Dir, r.L.Ready = runtimedir.Temp{}, readiness.File{Path: r.path("pids")}
	r.shell(`setsid perl -e 'open P, ">>", "$ENV{OUT}/pids"; %ENV = (); print P "$$\n"; close P; exec "/bin/sleep", "1000"' & exec "$0" "$@"`, "hang")
	pod, err := r.L.Launch(t.Context(), launcher.Spec{})
	if err != nil {
		t.Fatal(err)
	}
	left := r.await(1)
	r.awaitCleared(left[0])
	if err := syscall.Kill(pod.PID(), syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	<-pod.Done()
	if err := pod.Stop(t.Context()); err != nil {
		t.Error(err)
	}
	r.mustBeGone(left)
}
