//go:build linux

package ending_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/podlaunch/podlaunch/launcher"
	"github.com/podlaunch/podlaunch/launcher/internal/leaktest"
	"github.com/podlaunch/podlaunch/launcher/internal/podrig"
	"github.com/podlaunch/podlaunch/readiness"
)

// failsEarly launches a pod whose probe adopts, and which leaves nobody, and returns why it
// is not ready. Others on this machine may start processes, or leave orphans, all the time, and
// then it cannot be told.
func (r *rig) failsEarly() *launcher.Error {
	r.T.Helper()
	const tries = 20
	r.L.Timeout = 2 * time.Second
	for n := 1; ; n++ {
		err := r.Fail(r.T.Context(), podrig.Alice)
		if n == tries || !errors.Is(err, launcher.ErrTimeout) {
			return err
		}
	}
}

// W31: a launch does not wait for a daemon if nobody of the pod is left: with a cgroup,
// and without one where no orphan is to be seen that may come from the pod.
func TestDesertedPod(t *testing.T) {
	leaktest.Parallel(t)
	for _, way := range []struct{ name, script string }{
		{"at once", `echo no such thing >&2; exit 0`},
		{"the daemon ends", `setsid perl -e 'select undef, undef, undef, 0.001 while getppid() == $ARGV[0]; print STDERR "no such thing\n"' $$ & exit 0`},
	} {
		for _, in := range []string{"", "cgroup"} {
			t.Run(strings.TrimSpace(way.name+" "+in), func(t *testing.T) {
				r := newRig(t)
				if in != "" {
					r.L.Starter = launcher.Local{Cgroup: newCgroup(t)}
				}
				r.L.Ready = readiness.PIDFile{Path: r.path("pid")}
				r.shell(way.script)
				err := r.failsEarly()
				podrig.MustBe(t, err, launcher.ErrExitedEarly)
				podrig.MustSay(t, err, "no such thing", "no process of it is left", "exit status 0", "still waiting for the pid file")
				if errors.Is(err, launcher.ErrTimeout) {
					t.Errorf("it has waited: %v", err)
				}
			})
		}
	}
}

// W31: a daemon that its pid file names, and that has ended, was of the pod. The error says so.
func TestDaemonOfThePIDFileEnds(t *testing.T) {
	leaktest.Parallel(t)
	r := newRig(t)
	leave := r.Fifo("go")
	r.shell(`sh -c 'echo $$ >"$OUT/daemon"; read word <"$OUT/go"; echo "the disk is full" >&2' & setsid sleep 1000 & exit 0`)
	r.L.Ready = readiness.Sequence{
		r.written("daemon"),
		readiness.ProbeFunc(func(ctx context.Context, target readiness.Target) (readiness.Endpoint, error) {
			daemon := r.pidIn("daemon")
			if err := target.Kin.Prove(ctx, daemon); err != nil {
				t.Error(err)
			}
			podrig.Wake(t, leave)
			r.awaitEnd(daemon)
			r.write("pid", fmt.Sprintln(daemon))
			return target.Endpoint, nil
		}),
		readiness.PIDFile{Path: r.path("pid")},
	}
	err := r.Fail(t.Context(), podrig.Alice)
	podrig.MustBe(t, err, launcher.ErrExitedEarly)
	podrig.MustSay(t, err, "that process of the pod has ended", fmt.Sprintf("pid %d, which the pid file", r.pidIn("pid")), "the disk is full")
	if errors.Is(err, readiness.ErrUnproven) {
		t.Errorf("it is called a stranger: %v", err)
	}
	r.nobodyIsLeft()
}

// W31: a daemon that has lost all that tells it is not proven to be gone. The launch waits for
// it, and does not say that nobody is left.
func TestUntraceableIsNotGone(t *testing.T) {
	leaktest.Parallel(t)
	r := newRig(t)
	r.L.Ready = readiness.Timeout{Probe: readiness.PIDFile{Path: r.path("pid")}, Limit: 300 * time.Millisecond}
	r.shell(`(setsid env -u POD_LAUNCH_ID perl -MPOSIX -e 'POSIX::close(20); sleep 1 while getppid() == $ARGV[0]; open my $f, ">", "$ENV{OUT}/daemon"; print $f "$$\n"; close $f; sleep 1000' $$ &) ; while [ ! -s "$OUT/daemon" ]; do sleep 0.01; done; exit 0`)
	err := r.Fail(t.Context(), podrig.Alice)
	daemon := r.pidIn("daemon")
	if !lives(daemon) {
		t.Error("a process that is not proven to be of the pod was ended")
	}
	syscall.Kill(daemon, syscall.SIGKILL)
	if errors.Is(err, launcher.ErrExitedEarly) {
		t.Errorf("it says that nobody is left: %v", err)
	}
	podrig.MustSay(t, err, "no process has taken its place")
}

// W31: a daemon that says READY=1 and not who it is, and whose parent goes, is not ready. The
// error says what is missing.
func TestReadyWithoutMAINPID(t *testing.T) {
	leaktest.Parallel(t)
	r := newRig(t)
	r.L.Ready = readiness.NotifySocket{MainPID: true}
	r.shell(`exec perl -MIO::Socket::UNIX -MPOSIX -e 'pipe my $r, my $w; if (fork) { close $w; <$r>; exit 0 } close $r; POSIX::setsid(); IO::Socket::UNIX->new(Type => SOCK_DGRAM, Peer => $ENV{NOTIFY_SOCKET})->send("READY=1"); close $w; sleep 1000'`)
	err := r.Fail(t.Context(), podrig.Alice)
	podrig.MustBe(t, err, launcher.ErrExitedEarly)
	podrig.MustSay(t, err, "neither MAINPID= nor a pid file has named the process")
	r.nobodyIsLeft()
}

// A launch is over when nobody is left, also if a probe has had another process adopted, and then
// the started process again.
func TestDesertedAfterAdoption(t *testing.T) {
	leaktest.Parallel(t)
	r := newRig(t)
	r.L.Starter = launcher.Local{Cgroup: newCgroup(t)}
	r.L.Ready = adoptsTwice{r}
	r.shell(`mkfifo "$POD_RUNTIME_DIR/go"; sleep 1000 & echo $! >"$POD_RUNTIME_DIR/child"; read word <"$POD_RUNTIME_DIR/go"; kill -9 $!; wait; exit 0`)
	podrig.MustBe(t, r.failsEarly(), launcher.ErrExitedEarly)
}

// adoptsTwice has the child adopted that the pod has written down, then the process that was
// started, and lets that go on.
type adoptsTwice struct{ r *rig }

func (adoptsTwice) Adopts() bool { return true }

func (p adoptsTwice) Wait(ctx context.Context, t readiness.Target) (readiness.Endpoint, error) {
	child := 0
	for child == 0 && ctx.Err() == nil {
		text, _ := os.ReadFile(filepath.Join(t.RuntimeDir, "child"))
		if child, _ = strconv.Atoi(strings.TrimSpace(string(text))); child == 0 || !strings.HasSuffix(string(text), "\n") {
			child = 0
			time.Sleep(time.Millisecond)
		}
	}
	os.Remove(filepath.Join(t.RuntimeDir, "child")) // there may be another launch
	for _, pid := range []int{child, t.PID} {
		if err := t.Kin.Adopt(ctx, pid, "the test"); err != nil {
			return readiness.Endpoint{}, err
		}
	}
	podrig.Wake(p.r.T, filepath.Join(t.RuntimeDir, "go"))
	<-ctx.Done()
	return readiness.Endpoint{}, context.Cause(ctx)
}
