//go:build linux

package ending_test

import (
	"context"
	"errors"
	"regexp"
	"strings"
	"testing"

	"github.com/podlaunch/podlaunch/launcher"
	"github.com/podlaunch/podlaunch/launcher/internal/leaktest"
	"github.com/podlaunch/podlaunch/launcher/internal/podrig"
	"github.com/podlaunch/podlaunch/readiness"
)

// silent is a probe that ends when somebody of our user listens at sock.
var silent = readiness.Unix{Peer: readiness.SameUser}

// childSays is a daemon whose child says on the descriptor FD that it is ready, and then tells
// its parent to go.
const childSays = `pipe my $r, my $w; if (fork) { close $w; <$r>; exit 0 } close $r; open my $fd, ">&=", FD; syswrite $fd, "ready\n"; select undef, undef, undef, 0.002; close $w; sleep 1000`

// W3: a program that goes to the background in the moment in which it becomes ready is
// not ready: its process is gone, or about to go. What it has started is ended.
func TestGoesToTheBackground(t *testing.T) {
	leaktest.Parallel(t)
	const bind = `use IO::Socket::UNIX; my $s = IO::Socket::UNIX->new(Local => "$ENV{POD_RUNTIME_DIR}/sock", Listen => 5) or die; `
	for _, way := range []struct {
		name, script string
		steps        []string
		ready        readiness.Probe
	}{
		{"before the ready line", `set -m; "$0" "$@" & exit 0`, podrig.Serve, anybody},
		{"once there is a socket", `set -m; "$0" "$@" & while [ ! -e "$POD_RUNTIME_DIR/sock" ]; do :; done; exit 0`, podrig.Serve, silent},
		{"session", `setsid "$0" "$@" & while [ ! -e "$POD_RUNTIME_DIR/sock" ]; do :; done; exit 0`, podrig.Serve, silent},
		{"socket, then fork", `exec perl -e '` + bind + `fork and exit 0; sleep 1000'`, nil, readiness.Unix{}},
		{"waits for its child", `exec perl -e '` + bind + `pipe my $r, my $w; if (fork) { close $w; <$r>; exit 0 } close $r; select undef, undef, undef, 0.01; close $w; sleep 1000'`, nil, readiness.Unix{}},
		{"its child says ready", `exec perl -e '` + strings.Replace(childSays, "FD", "2", 1) + `'`, nil, readiness.Pattern{Regexp: regexp.MustCompile("^ready$")}},
		{"its child says ready on a descriptor", `exec perl -e '` + strings.Replace(childSays, "FD", "3", 1) + `'`, nil, readiness.NotifyFD{Match: regexp.MustCompile("^ready$")}},
	} {
		t.Run(way.name, func(t *testing.T) {
			for range podrig.Size(t, 2, 3, 50) {
				r := newRig(t)
				r.shell(way.script, way.steps...)
				r.L.Ready = way.ready
				pod, err := r.L.Launch(t.Context(), podrig.Alice)
				// A process that gets no processor for 50 ms counts as staying.
				for tries := 1; err == nil; tries++ {
					if stopErr := pod.Stop(t.Context()); tries == 10 || stopErr != nil {
						t.Fatalf("it is ready, and its process is about to go: %d times, %v", tries, stopErr)
					}
					pod, err = r.L.Launch(t.Context(), podrig.Alice)
				}
				podrig.MustBe(t, err, launcher.ErrExitedEarly)
				podrig.MustSay(t, err, "may have gone to the background")
				var e *launcher.Error
				if errors.As(err, &e) {
					podrig.MustBeGone(t, e.PID)
				}
			}
		})
	}
}

// W3: a pod that goes to the background later is ready and ends. Done and the exit report
// that, and Stop ends what the pod has left behind.
func TestGoesToTheBackgroundLater(t *testing.T) {
	leaktest.Parallel(t)
	r := newRig(t)
	leave := r.Fifo("go")
	r.shell(`set -m; "$0" "$@" & read word <"$OUT/go"; exit 0`, podrig.Serve...)
	r.L.Ready = anybody
	pod := r.Launch(podrig.Alice)
	podrig.Wake(t, leave)
	if exit, err := pod.Wait(t.Context()); exit != (launcher.Exit{Known: true}) || err != nil {
		t.Errorf("%v, %v", exit, err)
	}
	if err := pod.Stop(t.Context()); err != nil {
		t.Error(err)
	}
	r.Relaunch("alice")
}

// A pod that stays is ready, whether it has children or is at work.
func TestStaysInTheForeground(t *testing.T) {
	leaktest.Parallel(t)
	for _, script := range []string{`"$0" "$@" & wait`, `"$0" "$@" & while :; do :; done`, `exec "$0" "$@"`} {
		for _, ready := range []readiness.Probe{anybody, readiness.Unix{}} {
			r := newRig(t)
			r.shell(script, podrig.Serve...)
			r.L.Ready = ready
			pod := r.Launch(podrig.Alice)
			podrig.MustLive(t, pod)
			if err := pod.Stop(t.Context()); err != nil {
				t.Error(err)
			}
		}
	}
}

// A process at work is watched for no longer than the launch may take, and is ready.
func TestWatchEndsWithTheLaunch(t *testing.T) {
	leaktest.Parallel(t)
	r := newRig(t)
	r.shell(`"$0" "$@" & while :; do :; done`, podrig.Serve...)
	deadline := podrig.NewDeadline()
	r.L.Ready = readiness.ProbeFunc(func(ctx context.Context, target readiness.Target) (readiness.Endpoint, error) {
		defer deadline.Pass()
		return readiness.Unix{}.Wait(ctx, target)
	})
	pod, err := r.L.Launch(deadline, podrig.Alice)
	if err != nil {
		t.Fatal(err)
	}
	if err := pod.Stop(t.Context()); err != nil {
		t.Error(err)
	}
}
