//go:build linux

package ending_test

import (
	"os"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/podlaunch/podlaunch/launcher"
	"github.com/podlaunch/podlaunch/launcher/internal/leaktest"
	"github.com/podlaunch/podlaunch/launcher/internal/osproc"
	"github.com/podlaunch/podlaunch/launcher/internal/podrig"
)

// forksLate is a pod that on SIGTERM starts a process that has neither its environment nor its
// descriptors, and ignores SIGTERM. Then the pod ends.
const forksLate = `exec perl -e '
use POSIX;
$SIG{TERM} = sub {
	pipe(R, W);
	if (!fork) {
		%ENV = ();
		$SIG{TERM} = "IGNORE";
		for (3 .. 255) { POSIX::close($_) if $_ != fileno(W) }
		exec "sleep", "1000";
	}
	close W;
	<R>; # until it executes
	exit 0;
};
if (!fork) { exec @ARGV }
sleep 1000 while 1;
' "$0" "$@"`

// A process that the pod has started in its last moment belongs to its group, also for those
// who are not the parent of the pod, and know its number no longer.
func TestForkedInTheLastMoment(t *testing.T) {
	leaktest.Parallel(t)
	for name, stop := range map[string]func(*rig, *launcher.Pod) error{
		"parent":   func(r *rig, pod *launcher.Pod) error { return pod.Stop(r.T.Context()) },
		"attached": func(r *rig, pod *launcher.Pod) error { return r.MustAttach(pod).Stop(r.T.Context()) },
		"by name":  func(r *rig, _ *launcher.Pod) error { return r.L.Stop(r.T.Context(), podrig.Alice.Name) },
	} {
		t.Run(name, func(t *testing.T) {
			if testing.Short() && name != "by name" {
				t.Skip("skipped with -short: it waits for the grace")
			}
			if name != "parent" && !tellsGroups(t) {
				t.Skip("the kernel cannot signal a group by a pidfd, which Linux can since 6.9")
			}
			r := newRig(t)
			r.L.Grace = 300 * time.Millisecond
			r.shell(forksLate, podrig.Serve...)
			pod := r.Launch(podrig.Alice)
			if err := stop(r, pod); err != nil {
				t.Error(err)
			}
			if left, err := osproc.GroupMembers(pod.PID()); len(left) > 0 || err != nil {
				t.Errorf("in its group are %v, %v", left, err)
			}
		})
	}
}

// tellsGroups reports whether the kernel knows a group by a pidfd.
func tellsGroups(t *testing.T) bool {
	pidfd, err := unix.PidfdOpen(os.Getpid(), 0)
	if err != nil {
		t.Logf("pidfd_open: %v", err)
		return false
	}
	defer unix.Close(pidfd)
	const processGroup = 1 << 2 // PIDFD_SIGNAL_PROCESS_GROUP
	err = unix.PidfdSendSignal(pidfd, 0, nil, processGroup)
	return err == nil || err == unix.ESRCH // we lead no group
}
