//go:build linux

package launcher_test

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/podlaunch/podlaunch/launcher"
	"github.com/podlaunch/podlaunch/launcher/internal/podrig"
	"github.com/podlaunch/podlaunch/readiness"
)

// squat listens on a socket of its own in this process, which is of the pod's
// user and not of its session, and returns the path.
func (r *rig) squat() string {
	r.T.Helper()
	path := filepath.Join(r.Base, "squat")
	l, err := net.Listen("unix", path)
	if err != nil {
		r.T.Fatal(err)
	}
	r.T.Cleanup(func() { l.Close() })
	return path
}

// C6: somebody else answers where the pod said it would, and the pod dies. It
// is not taken for ready, whether or not the stranger would be accepted.
func c06(t *testing.T) {
	// dying has the pod die between the dial and the check of who answered.
	dying := func(t *testing.T, r *rig, check func(readiness.Peer, readiness.Target) error) {
		end := r.Fifo("end")
		r.L.Command = podrig.Script("say one", "ready "+r.squat(), "await "+end, "exit 4")
		r.L.Ready = readiness.Sequence{readiness.ReadyLine{}, readiness.Socket{
			Peer: func(p readiness.Peer, target readiness.Target) error {
				release(t, end)
				awaitState(t, target.PID, unix.WEXITED)
				return check(p, target)
			},
		}}
	}
	t.Run("refused", func(t *testing.T) {
		r := newRig(t)
		dying(t, r, readiness.SamePod)
		e := r.Fail(t.Context(), launcher.Spec{Name: "alice"})
		podrig.MustBe(t, e, readiness.ErrForeignPeer)
		podrig.MustSay(t, e, fmt.Sprintf("pid %d", os.Getpid()), "exit status 4")
		mustHaveEnded(t, e, exited(4))
		mustHaveTail(t, e, "one")
		r.Relaunch("alice")
	})
	t.Run("accepted", func(t *testing.T) {
		r := newRig(t)
		dying(t, r, readiness.AnyPeer)
		r.exitEarly(exited(4), "one\n"+readyLine("alice", filepath.Join(r.Base, "squat")), "one")
		r.Relaunch("alice")
	})
}

// C7: the error tells that the ready line came and the socket did not, how
// often it was dialled, and with what result.
func c07(t *testing.T) {
	r := newRig(t)
	e := r.expireAfter("say one", "ready")
	pendingSays(t, e, "an answer on unix:"+r.sock(), "attempts: ", "no such file")
	mustHaveTail(t, e, "one")
	if got, want := r.ReadLog("alice"), "one\n"+readyLine("alice", r.sock()); got != want {
		t.Errorf("the log holds %q, want %q", got, want)
	}
	r.Relaunch("alice")
}

// C8: a pod may announce its socket before it is there, or answers.
func c08(t *testing.T) {
	steps := []string{"say one", "ready", "sleep 100ms", "listen", "hang"}
	t.Run("missing at first", func(t *testing.T) {
		r := newRig(t, steps...)
		podrig.Ping(t, r.Launch(launcher.Spec{Name: "alice"}))
	})
	t.Run("refusing at first", func(t *testing.T) {
		r := newRig(t, steps...)
		if err := os.Mkdir(r.Dir("alice"), 0o700); err != nil {
			t.Fatal(err)
		}
		l, err := net.ListenUnix("unix", &net.UnixAddr{Name: r.sock(), Net: "unix"})
		if err != nil {
			t.Fatal(err)
		}
		l.SetUnlinkOnClose(false)
		l.Close()
		podrig.Ping(t, r.Launch(launcher.Spec{Name: "alice"}))
	})
}

// C9: a pod that never says it is ready is not; the error tells that its
// socket answers nevertheless.
func c09(t *testing.T) {
	r := newRig(t)
	e := r.expireAfter("say one", "listen")
	pendingSays(t, e, `the ready line "INSOMNIA-READY"`, "a socket answers at", r.sock())
	mustHaveTail(t, e, "one")
	r.Relaunch("alice")
}

// C10: a socket whose queue is full is dialled again and again; the error tells
// that it was full.
func c10(t *testing.T) {
	r := newRig(t)
	e := r.expireAfter("backlog", "ready")
	pendingSays(t, e, "an answer on unix:"+r.sock(), "attempts: ", "resource temporarily unavailable", "queue of connections is full")
	r.Relaunch("alice")
}

// C11: a pod that takes connections is ready, no matter what it does with them. Only its
// own probe could know what it should answer.
func c11(t *testing.T) {
	r := newRig(t, "mute", "ready", "hang")
	pod := r.Launch(launcher.Spec{Name: "alice"})
	conn, err := pod.Dial(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	conn.Close()
}

// C13: what is no stream socket will not become one: the launch fails without
// waiting for its deadline, and tells what is there.
func c13(t *testing.T) {
	for _, c := range []struct {
		name string
		make func(path string) error // nil: the pod binds a datagram socket
		want error
		say  string
	}{
		{"file", func(path string) error { return os.WriteFile(path, nil, 0o600) }, syscall.ENOTSOCK, "non-socket"},
		{"directory", func(path string) error { return os.Mkdir(path, 0o700) }, syscall.ENOTSOCK, "non-socket"},
		{"FIFO", func(path string) error { return syscall.Mkfifo(path, 0o600) }, syscall.ENOTSOCK, "non-socket"},
		{"datagram", nil, syscall.EPROTOTYPE, "datagram"},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := newRig(t)
			path := filepath.Join(r.Base, "thing")
			steps := []string{"say one", "ready " + path, "hang"}
			if c.make == nil {
				steps = append([]string{"dgram " + path}, steps...)
			} else if err := c.make(path); err != nil {
				t.Fatal(err)
			}
			r.L.Command = podrig.Script(steps...)
			e := r.Fail(t.Context(), launcher.Spec{Name: "alice"})
			podrig.MustBe(t, e, c.want)
			podrig.MustSay(t, e, c.say, path)
			if e.Stage != launcher.StageReady || e.Exit != nil {
				t.Errorf("stage %q, exit %v", e.Stage, e.Exit)
			}
			mustHaveTail(t, e, "one")
			r.Relaunch("alice")
		})
	}
}

// C14: a process of our own user that is not the pod's is refused; the error
// says who it is and what would allow it, and that does allow it.
func c14(t *testing.T) {
	r := newRig(t)
	path := r.squat()
	r.L.Command = podrig.Script("say one", "ready "+path, "hang")
	e := r.Fail(t.Context(), launcher.Spec{Name: "alice"})
	podrig.MustBe(t, e, readiness.ErrForeignPeer)
	podrig.MustSay(t, e, path, fmt.Sprintf("pid %d", os.Getpid()), "readiness.Socket.Peer to readiness.SameUser")
	mustHaveTail(t, e, "one")

	r.L.Ready = readiness.Sequence{readiness.ReadyLine{}, readiness.Socket{Peer: readiness.SameUser}}
	if pod := r.Launch(launcher.Spec{Name: "alice"}); pod.Endpoint().Address != path {
		t.Errorf("the pod is at %v, want %q", pod.Endpoint(), path)
	}
}

// C15: another user's socket is refused even by SameUser.
func c15(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root can listen as another user")
	}
	const nobody = 65534
	r := newRig(t)
	path := filepath.Join(r.Base, "other")
	listenAs(t, nobody, path)
	r.L.Command = podrig.Script("say one", "ready "+path, "hang")
	for name, check := range map[string]func(readiness.Peer, readiness.Target) error{
		"default": nil, "SameUser": readiness.SameUser,
	} {
		r.L.Ready = readiness.Sequence{readiness.ReadyLine{}, readiness.Socket{Peer: check}}
		e := r.Fail(t.Context(), launcher.Spec{Name: "alice"})
		podrig.MustBe(t, e, readiness.ErrForeignPeer)
		podrig.MustSay(t, e, path, fmt.Sprintf("of user %d", nobody), "readiness.AnyPeer")
		if t.Failed() {
			t.Fatalf("with the check %s", name)
		}
	}
	r.L.Ready = readiness.Sequence{readiness.ReadyLine{}, readiness.Socket{Peer: readiness.AnyPeer}}
	r.Launch(launcher.Spec{Name: "alice"})
}

// listenAs listens on a socket as another user. The kernel keeps the user of
// the thread that called listen(2) (unix(7)), so one thread becomes that user
// for the moment.
func listenAs(t *testing.T, uid int, path string) {
	t.Helper()
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Close(fd) })
	if err := unix.Bind(fd, &unix.SockaddrUnix{Name: path}); err != nil {
		t.Fatal(err)
	}
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	become := func(uid int) {
		const keep = ^uintptr(0)
		// Not syscall.Setresuid, which changes every thread.
		if _, _, errno := syscall.RawSyscall(syscall.SYS_SETRESUID, keep, uintptr(uid), keep); errno != 0 {
			t.Fatalf("setresuid to %d: %v", uid, errno)
		}
	}
	become(uid)
	err = unix.Listen(fd, 16)
	become(0)
	if err != nil {
		t.Fatal(err)
	}
}

// C30: a helper may speak for the pod, and may serve for it, as long as it is
// of the pod's session.
func c30(t *testing.T) {
	t.Run("speaks", func(t *testing.T) {
		r := newRig(t, "listen", "spawn ready", "hang")
		podrig.Ping(t, r.Launch(launcher.Spec{Name: "alice"}))
	})
	t.Run("serves", func(t *testing.T) {
		r := newRig(t, "spawn listen ; ready ; hang", "hang")
		podrig.Ping(t, r.Launch(launcher.Spec{Name: "alice"}))
	})
	t.Run("serves from another session", func(t *testing.T) {
		r := newRig(t)
		path := r.squat()
		r.L.Command = podrig.Script("spawn ready "+path, "hang")
		podrig.MustBe(t, r.Fail(t.Context(), launcher.Spec{Name: "alice"}), readiness.ErrForeignPeer)
	})
}
