//go:build linux

package onepod_test

import (
	"errors"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/podlaunch/podlaunch/launcher"
	"github.com/podlaunch/podlaunch/launcher/internal/leaktest"
	"github.com/podlaunch/podlaunch/launcher/internal/osproc"
	"github.com/podlaunch/podlaunch/launcher/internal/podrig"
)

// TestFaultCOwned injects the faults of part C of the catalogue that are about
// who has a name. Each case is called by its number. C31 is a row of
// TestWitnesses.
func TestFaultCOwned(t *testing.T) {
	leaktest.Parallel(t)
	for _, c := range []struct {
		name string
		test func(t *testing.T)
	}{
		{"C12 stale socket", c12},
		{"C16 daemonizes", c16},
		{"C18 grandchild of another session", c18},
		{"C29 serves from another session", c29},
	} {
		t.Run(c.name, c.test)
	}
}

// C12: the socket of a pod that is dead goes before the next one starts, and
// nothing else does: not what is no socket, and not one on which somebody
// listens.
func c12(t *testing.T) {
	bound := func(t *testing.T, path string, keep bool) {
		t.Helper()
		l, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
		if err != nil {
			t.Fatal(err)
		}
		l.SetUnlinkOnClose(false)
		t.Cleanup(func() { l.Close() })
		if !keep {
			l.Close()
		}
	}
	for _, c := range []struct {
		name string
		make func(t *testing.T, path string)
		gone bool
	}{
		{"stale", func(t *testing.T, path string) { bound(t, path, false) }, true},
		{"served", func(t *testing.T, path string) { bound(t, path, true) }, false},
		{"busy", fullQueue, false},
		{"file", func(t *testing.T, path string) {
			if err := os.WriteFile(path, []byte("precious"), 0o600); err != nil {
				t.Fatal(err)
			}
		}, false},
		{"link", func(t *testing.T, path string) {
			bound(t, path+".real", false)
			if err := os.Symlink(path+".real", path); err != nil {
				t.Fatal(err)
			}
		}, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			if testing.Short() && c.gone {
				t.Skip("skipped with -short: a launcher waits in vain, until its deadline")
			}
			r := newRig(t, "exit 3") // it does nothing to the socket
			if err := os.Mkdir(r.Dir("alice"), 0o700); err != nil {
				t.Fatal(err)
			}
			path := filepath.Join(r.Dir("alice"), "sock")
			c.make(t, path)
			if c.gone {
				r.mustKeepWithoutName(path)
			}
			podrig.MustBe(t, r.Fail(t.Context(), podrig.Alice), launcher.ErrExitedEarly)
			if _, err := os.Lstat(path); errors.Is(err, fs.ErrNotExist) != c.gone {
				t.Errorf("Lstat: %v, want it gone: %v", err, c.gone)
			}
		})
	}
}

// mustKeepWithoutName fails the test if a launch that does not get the name
// removes path.
func (r *rig) mustKeepWithoutName(path string) {
	r.T.Helper()
	lock, err := r.Lock(".launch")
	if err != nil {
		r.T.Fatal(err)
	}
	defer lock.Close()
	r.MustRefuse(r.T.Context(), r.Impatient(), launcher.ErrHeld)
	if _, err := os.Lstat(path); err != nil {
		r.T.Errorf("it was removed without the name: %v", err)
	}
}

// fullQueue has somebody listen who accepts nothing, and whose queue is full.
func fullQueue(t *testing.T, path string) {
	t.Helper()
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Close(fd) })
	if err := errors.Join(unix.Bind(fd, &unix.SockaddrUnix{Name: path}), unix.Listen(fd, 0)); err != nil {
		t.Fatal(err)
	}
	for {
		conn, err := net.Dial("unix", path)
		if errors.Is(err, syscall.EAGAIN) {
			return
		}
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { conn.Close() })
	}
}

// C16: a pod that forks and exits has exited early, though its child would have
// served. The error names the child, which was ended.
func c16(t *testing.T) {
	r := newRig(t)
	pid, up := filepath.Join(r.Base, "pid"), r.Fifo("up")
	r.L.Command = podrig.Script("setsid listen ; pid "+pid+" ; notify "+up+" ; hang", "await "+up, "exit 0")
	e := r.Fail(t.Context(), podrig.Alice)
	podrig.MustBe(t, e, launcher.ErrExitedEarly)
	podrig.MustSay(t, e, "exit status 0", "["+readPID(t, pid)+"]", "had left its group", "were ended")
	r.mustBeDead(pid)
	r.Relaunch("alice")
}

// mustBeDead fails the test unless the process is gone, or is about to be, whose pid
// a pod has written into the file path. All that is known is that it does not hold
// the name any more, and the kernel takes that from it while it ends.
func (r *rig) mustBeDead(path string) {
	r.T.Helper()
	pid, err := strconv.Atoi(readPID(r.T, path))
	if err != nil {
		r.T.Fatal(err)
	}
	for end := time.Now().Add(podrig.Late); time.Now().Before(end); time.Sleep(time.Millisecond) {
		if st, err := osproc.ReadStat(pid); err != nil || st.Dead() {
			break
		}
	}
	podrig.MustBeGone(r.T, pid) // it led a session
}

// C18: a process that has left the pod's session is found by the name that it
// holds, and goes with a launch that fails.
func c18(t *testing.T) {
	r := newRig(t)
	pid, up := filepath.Join(r.Base, "pid"), r.Fifo("up")
	r.L.Command = podrig.Script("setsid ignore 15 ; pid "+pid+" ; notify "+up+" ; hang", "await "+up, "kill 9")
	e := r.Fail(t.Context(), podrig.Alice)
	podrig.MustBe(t, e, launcher.ErrExitedEarly)
	podrig.MustSay(t, e, "["+readPID(t, pid)+"]", "had left its group")
	if e.Exit == nil || e.Exit.Signal != syscall.SIGKILL {
		t.Errorf("Exit is %+v", e.Exit)
	}
	r.mustBeDead(pid)
	r.Relaunch("alice")
}

// C29: what serves from a session of its own may answer for the pod while it descends from
// it. A signal to the pod alone does not end it, and it holds the name until it goes.
func c29(t *testing.T) {
	r := newRig(t)
	pid, wake := filepath.Join(r.Base, "pid"), r.Fifo("wake")
	r.L.Command = podrig.Script("setsid pid "+pid+" ; listen ; ready ; await "+wake, "hang")
	pod := r.Launch(podrig.Alice)
	podrig.Ping(t, r.MustAttach(pod))
	podrig.Kill(t, pod)
	podrig.MustSay(t, r.MustRefuse(t.Context(), &r.L, launcher.ErrHeld), "["+readPID(t, pid)+" (pod)]")
	podrig.Wake(t, wake) // it would block if its reader were dead
	r.RelaunchOnceFree("alice")
}
