//go:build linux

package ending_test

import (
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/podlaunch/podlaunch/launcher/internal/osproc"
	"github.com/podlaunch/podlaunch/launcher/internal/podrig"
)

// A program that inherits orphans, as PID 1 of a container does, has no zombies of those
// whom Stop has ended, whether they have gone by the stop signal or by SIGKILL.
func TestStopReapsWhatIsInherited(t *testing.T) {
	if err := unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 0, 0, 0, 0) })
	for _, ignores := range []string{"", `trap "" TERM;`} {
		r := newRig(t)
		r.L.Grace = 300 * time.Millisecond
		r.shell(`setsid sh -c '`+ignores+` echo $$ >>"$OUT/pids"; exec sleep 1000' & exec "$0" "$@"`, podrig.Serve...)
		pod := r.Launch(podrig.Alice)
		left := r.await(1)
		if err := pod.Stop(t.Context()); err != nil {
			t.Error(err)
		}
		if st, err := osproc.ReadStat(left[0]); err == nil {
			t.Errorf("pid %d is there, in state %c", left[0], st.State)
		}
	}
}
