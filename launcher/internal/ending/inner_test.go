//go:build linux

package ending_test

import (
	"syscall"
	"testing"
	"time"

	"github.com/podlaunch/podlaunch/launcher/internal/leaktest"
	"github.com/podlaunch/podlaunch/launcher/internal/osproc"
	"github.com/podlaunch/podlaunch/launcher/internal/podrig"
)

// A pod that a pod has launched is a pod of its own, also if it has cleared its
// environment: it has its own lock where a pod has that. One without it, or with the lock
// of the pod that is stopped, is of that.
func TestPodOfAPodWithoutEnvironment(t *testing.T) {
	leaktest.Parallel(t)
	const clear = `open P, ">>", "$ENV{OUT}/pids"; print P "$$\n"; close P; %ENV = (); exec "/bin/sleep", "1000"`
	const open = `use POSIX; open F, ">>", "$ENV{OUT}/`
	const lock, keep = `" or die; flock F, 2; `, `POSIX::dup2(fileno F, 20); `
	for _, c := range []struct {
		name, perl string
		stays      bool
	}{
		{"another's lock", open + ".bob.pod" + lock + keep + clear, true},
		{"the lock of a pod without a name", open + ".bob.private" + lock + keep + clear, true},
		{"the lock of another's in another base, of the same name", `use POSIX; mkdir "$ENV{OUT}/inner"; open F, ">>", "$ENV{OUT}/inner/.alice.pod` + lock + keep + clear, true},
		{"a file of that name without a lock", open + ".bob.pod" + `" or die; ` + keep + clear, false},
		{"a lock of another kind", open + "database" + lock + keep + clear, false},
		{"its own lock", clear, false},
		{"no lock", `use POSIX; POSIX::close(20); ` + clear, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := newRig(t)
			r.shell(`setsid perl -e '`+c.perl+`' & exec "$0" "$@"`, podrig.Serve...)
			pod := r.Launch(podrig.Alice)
			inner := r.await(1)[0]
			r.awaitCleared(inner)
			if err := pod.Stop(t.Context()); err != nil {
				t.Error(err)
			}
			if lives(inner) != c.stays {
				t.Errorf("that it stays is not %v", c.stays)
			}
			syscall.Kill(inner, syscall.SIGKILL)
		})
	}
}

// awaitCleared waits until a process has executed a program without the rig's variable.
func (r *rig) awaitCleared(pid int) {
	r.T.Helper()
	for end := time.Now().Add(podrig.Ample); osproc.HasVariable(pid, "OUT", r.Base); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			r.T.Fatal("it has not cleared its environment")
		}
	}
}
