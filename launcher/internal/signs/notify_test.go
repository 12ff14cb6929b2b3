//go:build linux

package signs_test

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/podlaunch/podlaunch/launcher"
	"github.com/podlaunch/podlaunch/launcher/internal/leaktest"
	"github.com/podlaunch/podlaunch/launcher/internal/podrig"
	"github.com/podlaunch/podlaunch/readiness"
	"github.com/podlaunch/podlaunch/runtimedir"
)

// shell has the rig launch a script for sh(1).
func (r *rig) shell(script string) { r.L.Command = launcher.Exec("/bin/sh", "-c", script) }

// python has the rig launch a Python program. Without Python the test is
// skipped, but never in CI, which has to install it.
func (r *rig) python(program string) {
	r.T.Helper()
	path, err := exec.LookPath("python3")
	switch {
	case err != nil && os.Getenv("CI") != "":
		r.T.Fatal(err)
	case err != nil:
		r.T.Skipf("not run: python3 is not installed: %v", err)
	}
	r.L.Command = launcher.Exec(path, "-c", program)
}

// sdNotify is sd_notify(3) in Python.
const sdNotify = `
import array, os, socket, sys
def notify(text, *fds):
    s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    s.sendmsg([text.encode()], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", fds))] if fds else [], 0, os.environ["NOTIFY_SOCKET"])
def barrier():
    r, w = os.pipe()
    notify("BARRIER=1", w)
    os.close(w)
    os.read(r, 1)
`

// A pod that speaks sd_notify(3): its statuses are progress, it is ready when it
// says so, at the endpoint that another probe has, and a barrier is passed. The
// socket stays for what the pod says later, as long as that runs, and the variable is
// the pod's alone.
func TestNotifySocketLaunch(t *testing.T) {
	t.Setenv("NOTIFY_SOCKET", "/run/the/managers/own")
	r := newRig(t)
	r.python(sdNotify + `
sock = socket.fromfd(3, socket.AF_UNIX, socket.SOCK_STREAM)
notify("STATUS=loading")
barrier()
notify("STATUS=loaded\nREADY=1\nMAINPID=%d" % os.getpid())
print("served", file=sys.stderr, flush=True)
c, _ = sock.accept()
for i in range(2000):
    notify("RELOADING=1\nSTATUS=%d" % i)
barrier()
c.sendall(b"hello")
c.close()
while True:
    sock.accept()
`)
	r.L.Ready = readiness.Sequence{readiness.Listener{}, readiness.NotifySocket{}}
	var said []string
	pod := r.Launch(launcher.Spec{Name: "alice", Progress: func(line string) { said = append(said, line) }})
	if !slices.Equal(slices.DeleteFunc(said, func(s string) bool { return s == "served" }), []string{"loading", "loaded"}) {
		t.Errorf("progress: %q", said)
	}
	conn, err := pod.Dial(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if word, err := io.ReadAll(conn); string(word) != "hello" {
		t.Errorf("%q, %v", word, err)
	}
	if err := pod.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	if conn, err := net.Dial("unixgram", filepath.Join(r.Dir("alice"), "notify")); !errors.Is(err, syscall.ECONNREFUSED) {
		t.Errorf("when the pod has gone: %v, %v", conn, err)
	}
	r.Relaunch("alice")
}

// A helper that a shell waits for, and whose failure ends the shell, as
// systemd-notify(1) is used: its barrier after READY=1 is taken.
func TestNotifySocketHelper(t *testing.T) {
	leaktest.Parallel(t)
	r := newRig(t)
	r.python(sdNotify) // for the path of Python, and whether there is one
	python, err := exec.LookPath("python3")
	if err != nil {
		t.Fatal(err)
	}
	notifier := filepath.Join(r.Base, "notifier.py")
	if err := os.WriteFile(notifier, []byte(sdNotify+"\nnotify(sys.argv[1])\nbarrier()\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	passed := r.Fifo("passed")
	r.shell(`set -e; ` + python + ` ` + notifier + ` READY=1; : >` + passed + `; exec sleep 1000`)
	r.L.Ready = readiness.NotifySocket{}
	// The helper has 50 ms for its barrier: a machine that is busy may take them.
	for try := 1; ; try++ {
		pod := r.Launch(launcher.Spec{Name: "alice"})
		went := make(chan error, 1)
		go func() {
			f, err := os.Open(passed) // it waits for the shell
			if err == nil {
				f.Close()
			}
			went <- err
		}()
		select {
		case err := <-went:
			if err != nil {
				t.Error(err)
			}
			return
		case <-pod.Done():
			podrig.Wake(t, passed) // nobody else will
			<-went
		}
		if try == 3 {
			t.Fatal("three times the helper has found nobody there to take its barrier")
		}
	}
}

// The pod's own reason wins over its exit, and carries it, however fast it
// exits; and the lines that say it are not told twice.
func TestPodsOwnReason(t *testing.T) {
	leaktest.Parallel(t)
	for _, c := range []struct {
		name   string
		probe  readiness.Probe
		set    func(r *rig)
		reason string
	}{
		{"a line", nil, func(r *rig) { r.L.Command = podrig.Script("fail no model", "exit 3") }, "no model"},
		{"a line, while others are waited for", readiness.All{readiness.NotifyFD{}, readiness.Sequence{readiness.ReadyLine{}}},
			func(r *rig) { r.L.Command = podrig.Script("fail no model", "exit 3") }, "no model"},
		{"errno", readiness.NotifySocket{}, func(r *rig) {
			r.python(sdNotify + `notify("STATUS=no model\nERRNO=2"); os._exit(3)`)
		}, "no model (errno 2"},
		{"errno, while the descriptor is closed", readiness.All{readiness.NotifyFD{}, readiness.NotifySocket{}}, func(r *rig) {
			r.python(sdNotify + `notify("STATUS=no model\nERRNO=2"); os._exit(3)`)
		}, "no model (errno 2"},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := newRig(t)
			c.set(r)
			if r.L.Ready = c.probe; c.probe != nil {
				// So that the exit is seen for certain before the verdict is.
				r.L.Ready = afterExit{c.probe}
			}
			e := r.Fail(t.Context(), launcher.Spec{Name: "alice"})
			podrig.MustBe(t, e, readiness.ErrFailed)
			podrig.MustSay(t, e, c.reason)
			if c.probe != nil && (e.Exit == nil || e.Exit.Code != 3) {
				t.Errorf("the exit is %v", e.Exit)
			}
			if strings.Contains(e.Error(), "INSOMNIA-FAIL") || e.Tail != nil || errors.Is(e, launcher.ErrExitedEarly) {
				t.Errorf("it is told twice: %v", e)
			}
		})
	}
}

// An afterExit waits for its probe only once the pod has exited.
type afterExit struct{ readiness.Probe }

func (a afterExit) Prepare(ctx context.Context, s *readiness.Setup) (_ readiness.Probe, err error) {
	a.Probe, err = readiness.Prepare(ctx, a.Probe, s)
	return a, err
}

func (a afterExit) Probes() []readiness.Probe { return []readiness.Probe{a.Probe} }

func (a afterExit) Wait(ctx context.Context, t readiness.Target) (readiness.Endpoint, error) {
	<-ctx.Done()
	return a.Probe.Wait(ctx, t)
}

// What the pod says of its progress on its log is shown without what marks it,
// and what a pod says that fails, not at all.
func TestStatusLines(t *testing.T) {
	leaktest.Parallel(t)
	t.Run("ready", func(t *testing.T) {
		r := newRig(t, "say one", "status two", `write "INSOMNIA-STATUS\tbob\tthree\n"`, "listen", "ready", "hang")
		var said []string
		pod := r.Launch(launcher.Spec{Name: "alice", Progress: func(line string) { said = append(said, line) }})
		podrig.Ping(t, pod)
		if want := []string{"one", "two", "INSOMNIA-STATUS\tbob\tthree"}; !slices.Equal(said, want) {
			t.Errorf("progress: %q, want %q", said, want)
		}
	})
	t.Run("failed", func(t *testing.T) {
		r := newRig(t, "say one", "fail no model", "exit 1")
		var said []string
		r.Fail(t.Context(), launcher.Spec{Name: "alice", Progress: func(line string) { said = append(said, line) }})
		if !slices.Equal(said, []string{"one"}) {
			t.Errorf("progress: %q", said)
		}
	})
}

// A stranger that says READY=1 ends the launch, and is named.
func TestNotifySocketStranger(t *testing.T) {
	leaktest.Parallel(t)
	r := newRig(t)
	r.L.Ready = readiness.NotifySocket{}
	r.shell("sleep 1000")
	r.L.Starter = podrig.StarterFunc(func(ctx context.Context, req launcher.StartRequest) (launcher.Process, error) {
		// This process is none of the pod's.
		for _, e := range req.Command.Env {
			if path, ok := strings.CutPrefix(e, "NOTIFY_SOCKET="); ok {
				conn, err := net.Dial("unixgram", path)
				if err != nil {
					return nil, err
				}
				defer conn.Close()
				if _, err := conn.Write([]byte("READY=1")); err != nil {
					return nil, err
				}
			}
		}
		return launcher.Local{}.Start(ctx, req)
	})
	e := r.Fail(t.Context(), launcher.Spec{Name: "alice"})
	podrig.MustBe(t, e, readiness.ErrForeignPeer)
	podrig.MustSay(t, e, "readiness.NotifySocket.Peer to readiness.SameUser")
}

// s6, from a shell: a newline on the descriptor, which is 3 unless the probe says
// otherwise.
func TestNotifyFDLaunch(t *testing.T) {
	for fd, probe := range map[string]readiness.NotifyFD{"3": {}, "7": {FD: 7}} {
		t.Run(fd, func(t *testing.T) {
			r := newRig(t)
			r.shell("echo ready >&" + fd + "; exec " + fd + ">&-; exec sleep 1000")
			r.L.Ready = probe
			pod := r.Launch(launcher.Spec{Name: "alice"})
			if e := pod.Endpoint(); e != (readiness.Endpoint{}) {
				t.Errorf("the endpoint is %v", e)
			}
		})
	}
}

// A pod that exits closes the descriptor a moment before the launcher sees its exit; the
// error says that it exited. If a pod closes the descriptor and runs on, the error says
// that.
func TestNotifyFDWithoutNewline(t *testing.T) {
	leaktest.Parallel(t)
	r := newRig(t)
	r.L.Ready = readiness.NotifyFD{}
	for range podrig.Size(t, 5, 20, 20) {
		r.shell("printf almost >&3; exit 4")
		e := r.Fail(t.Context(), launcher.Spec{Name: "alice"})
		podrig.MustBe(t, e, launcher.ErrExitedEarly)
		if e.Exit == nil || e.Exit.Code != 4 || errors.Is(e, readiness.ErrNotifyFDClosed) {
			t.Errorf("%v", e)
		}
	}
	r.shell("exec 3>&-; exec sleep 1000")
	e := r.Fail(t.Context(), launcher.Spec{Name: "alice"})
	podrig.MustBe(t, e, readiness.ErrNotifyFDClosed)
	if e.Exit != nil {
		t.Errorf("it has exited: %v", e.Exit)
	}
}

// A path that is too long for the socket is found before anything starts, with
// the sentinel and the advice of every other such path.
func TestProbesSocketPathTooLong(t *testing.T) {
	r := newRig(t, "hang")
	r.L.Dir = runtimedir.Dir(filepath.Join(r.Base, strings.Repeat("d", 90)))
	for _, probe := range []readiness.Probe{readiness.NotifySocket{}, readiness.Listener{}} {
		r.L.Ready = probe
		e := r.Fail(t.Context(), launcher.Spec{Name: "alice"})
		podrig.MustBe(t, e, runtimedir.ErrSocketPathTooLong, syscall.ENAMETOOLONG)
		podrig.MustSay(t, e, "the limit for a socket is 107", "choose a shorter runtime directory")
	}
}

// activated accepts on the socket that it was handed, as sd_listen_fds(3) has it,
// and greets each client with its argument.
const activated = `
import os, socket, sys
assert os.environ["LISTEN_PID"] == str(os.getpid()), os.environ["LISTEN_PID"]
assert os.environ["LISTEN_FDS"] == "1" and os.environ["LISTEN_FDNAMES"] == "sock"
sock = socket.socket(fileno=3)
print("accepting", file=sys.stderr, flush=True)
while True:
    c, _ = sock.accept()
    try:
        c.sendall(sys.argv[1].encode())
    except BrokenPipeError: # who only looks whether it answers does not stay
        pass
    c.close()
`

// greeting connects to e and returns a function that returns what comes.
func greeting(t *testing.T, e readiness.Endpoint) func() string {
	t.Helper()
	conn, err := net.Dial(e.Network, e.Address)
	if err != nil {
		t.Fatal(err)
	}
	return func() string {
		defer conn.Close()
		word, err := io.ReadAll(conn)
		if err != nil {
			t.Error(err)
		}
		return string(word)
	}
}

// A pod that is handed its socket, in Python: it serves, is found again by
// Attach and List although not it has called listen, and its socket goes with a
// launch that fails.
func TestListenerLaunch(t *testing.T) {
	leaktest.Parallel(t)
	r := newRig(t)
	r.python(activated)
	r.L.Ready = readiness.Listener{}
	pod := r.Launch(launcher.Spec{Name: "alice", Args: []string{"hello"}})
	if word := greeting(t, pod.Endpoint())(); word != "hello" {
		t.Errorf("greeted with %q", word)
	}
	again, err := r.L.Attach(t.Context(), "alice")
	if err != nil {
		t.Fatal(err)
	}
	again.Release()
	for status, err := range r.L.List(t.Context()) {
		if err != nil || status.State != launcher.StateReady {
			t.Errorf("%+v, %v", status, err)
		}
	}

	r.shell("exit 1")
	r.L.Ready = readiness.Sequence{readiness.Listener{}, readiness.NotifyFD{}}
	r.Fail(t.Context(), launcher.Spec{Name: "bob"})
	if _, err := os.Lstat(filepath.Join(r.Dir("bob"), "sock")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the socket of a pod that failed: %v", err)
	}
}

// A restart refuses nobody where the caller keeps the listener: who connects
// while there is no pod is served by the next.
func TestListenerRestart(t *testing.T) {
	before := leaktest.Take()
	r := newRig(t)
	r.python(activated)
	for _, network := range []string{"unix", "tcp"} {
		address := map[string]string{"unix": filepath.Join(r.Base, "s"), "tcp": "127.0.0.1:0"}[network]
		l, err := net.Listen(network, address)
		if err != nil {
			t.Fatal(err)
		}
		r.L.Ready = readiness.Listener{Listener: l}
		pod, err := r.L.Launch(t.Context(), launcher.Spec{Name: "alice", Args: []string{"first"}})
		if err != nil {
			t.Fatal(err)
		}
		if word := greeting(t, pod.Endpoint())(); word != "first" {
			t.Errorf("greeted with %q", word)
		}
		if err := pod.Stop(t.Context()); err != nil {
			t.Fatal(err)
		}
		between := greeting(t, pod.Endpoint())
		pod, err = r.L.Launch(t.Context(), launcher.Spec{Name: "alice", Args: []string{"second"}})
		if err != nil {
			t.Fatal(err)
		}
		if word := between(); word != "second" {
			t.Errorf("who came between is greeted with %q", word)
		}
		if err := pod.Stop(t.Context()); err != nil {
			t.Fatal(err)
		}
		l.Close()
	}
	if left := before.Left(0); left != nil {
		t.Errorf("left behind: %q", left)
	}
}

// A path that somebody has who answers is not taken from him.
func TestListenerTakenPath(t *testing.T) {
	r := newRig(t, "hang")
	path := filepath.Join(r.Base, "s")
	l, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	r.L.Ready = readiness.Listener{Address: path}
	e := r.Fail(t.Context(), launcher.Spec{Name: "alice"})
	podrig.MustBe(t, e, syscall.EADDRINUSE)
	podrig.MustSay(t, e, "readiness.Listener.Address", path)
	if e.Stage != launcher.StageReady || e.PID != 0 {
		t.Errorf("%+v", e)
	}
}
