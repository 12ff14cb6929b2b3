//go:build linux

package ending_test

import (
	"context"
	"testing"

	"github.com/podlaunch/podlaunch/launcher"
	"github.com/podlaunch/podlaunch/launcher/internal/leaktest"
	"github.com/podlaunch/podlaunch/launcher/internal/podrig"
)

// onExec is a daemon that has all its descriptors closed on exec, as dbus-daemon has, and
// tells its pid.
const onExec = `perl -e 'use Fcntl; for (3..255) { open my $f, "<&=", $_ or next; fcntl($f, F_SETFD, FD_CLOEXEC); push @keep, $f } open F, ">>", "$ENV{OUT}/pids"; print F "$$\n"; close F; sleep 1000'`

// W3: a descriptor of the lock that the pod has closed on exec looks like that of a child
// which has not come to its exec. It is the pod's all the same: by its handle, by its name
// and for the next launch.
func TestClosedOnExec(t *testing.T) {
	leaktest.Parallel(t)
	for name, end := range map[string]func(context.Context, *rig, *launcher.Pod) error{
		"handle": func(ctx context.Context, _ *rig, pod *launcher.Pod) error { return pod.Stop(ctx) },
		"name":   func(ctx context.Context, r *rig, _ *launcher.Pod) error { return r.L.Stop(ctx, "alice") },
		"reclaim": func(ctx context.Context, r *rig, _ *launcher.Pod) error {
			l := r.L
			l.Reclaim = true
			_, err := l.Launch(ctx, podrig.Alice)
			return err
		},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t)
			pod, left := r.launchGone(`setsid ` + onExec)
			r.MustRefuse(t.Context(), &r.L, launcher.ErrHeld)
			ctx, cancel := context.WithTimeout(t.Context(), podrig.Ample)
			defer cancel()
			if err := end(ctx, r, pod); err != nil {
				t.Error(err)
			}
			r.mustBeGone(left)
			if err := r.L.Stop(ctx, "alice"); err != nil {
				t.Error(err)
			}
		})
	}
}
