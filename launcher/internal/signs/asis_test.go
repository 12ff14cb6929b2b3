//go:build linux

package signs_test

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/podlaunch/podlaunch/launcher"
	"github.com/podlaunch/podlaunch/launcher/internal/leaktest"
	"github.com/podlaunch/podlaunch/launcher/internal/podrig"
	"github.com/podlaunch/podlaunch/logsource"
	"github.com/podlaunch/podlaunch/readiness"
	"golang.org/x/sys/unix"
)

// real returns the path of a program that CI must have.
func real(t *testing.T, name string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	if err != nil {
		if path, err = exec.LookPath("/usr/sbin/" + name); err == nil {
			return path
		}
		if os.Getenv("CI") != "" {
			t.Fatalf("CI must have %s: %v", name, err)
		}
		t.Skipf("%s is not installed: %v", name, err)
	}
	return path
}

// W28: unbound says READY=1 once more after each reload, and ends if it cannot.
func TestUnboundReloads(t *testing.T) {
	leaktest.Parallel(t)
	r := newRig(t)
	config := filepath.Join(t.TempDir(), "unbound.conf")
	_, port, _ := net.SplitHostPort(freePort(t))
	if err := os.WriteFile(config, fmt.Appendf(nil, `
server:
	interface: 127.0.0.1@%s
	username: ""
	chroot: ""
	pidfile: ""
	use-syslog: no
	do-daemonize: no
	module-config: "iterator"
	verbosity: 1
remote-control:
	control-enable: no
`, port), 0o600); err != nil {
		t.Fatal(err)
	}
	r.L.Command = launcher.Exec(real(t, "unbound"), "-d", "-c", config)
	r.L.Ready = readiness.NotifySocket{}
	pod := r.Launch(launcher.Spec{Name: "alice"})
	log, err := pod.Follow(t.Context(), true)
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	const reloads = 3
	starts := 0
	for line := range logsource.Lines(log) {
		if !bytes.Contains(line, []byte("start of service")) {
			continue
		}
		if starts++; starts > reloads {
			return
		}
		if err := pod.Signal(t.Context(), unix.SIGHUP); err != nil {
			t.Fatal(err)
		}
	}
	exit, err := pod.Wait(t.Context())
	t.Errorf("after %d starts it has ended: %v, %v", starts, exit, err)
}

// W28: mosquitto, started by root, becomes another user, and says READY=1 then: it
// reaches a public socket, and of another one the error says what is in the way.
func TestMosquittoBecomesAnotherUser(t *testing.T) {
	leaktest.Parallel(t)
	if os.Geteuid() != 0 {
		t.Skip("not run: only root can become another user")
	}
	r := newRig(t)
	_, port, _ := net.SplitHostPort(freePort(t))
	config := filepath.Join(t.TempDir(), "mosquitto.conf")
	if err := os.WriteFile(config, []byte("listener "+port+" 127.0.0.1\nuser nobody\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	r.L.Command = launcher.Exec(real(t, "mosquitto"), "-c", config)
	r.L.Ready = readiness.Sequence{readiness.NotifySocket{Public: true}, readiness.TCP{Address: "127.0.0.1:" + port}}
	pod := r.Launch(launcher.Spec{Name: "alice"})
	if err := pod.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	r.L.Ready = readiness.NotifySocket{}
	var e *launcher.Error
	for r.L.Timeout = podrig.Short; e == nil || !strings.Contains(e.Error(), "NotifySocket.Public"); r.L.Timeout *= 2 {
		if r.L.Timeout > podrig.Ample {
			t.Fatalf("nothing is said of the user: %v", e)
		}
		if e = r.Fail(t.Context(), launcher.Spec{Name: "alice"}); !errors.Is(e, launcher.ErrTimeout) {
			t.Fatal(e)
		}
	}
}

// W25: a wrapper that makes a session for the server, which answers then.
func TestServerInASessionOfItsOwn(t *testing.T) {
	leaktest.Parallel(t)
	r := newRig(t)
	for i, wrapper := range [][]string{{real(t, "setsid"), "-w"}, {real(t, "setsid"), "-w"}, {real(t, "dumb-init")}} {
		r.L.Command = launcher.Exec(wrapper[0], append(wrapper[1:], real(t, "python3"), "-c", `
import socket, sys
s = socket.socket(socket.AF_UNIX)
s.bind(sys.argv[1])
s.listen()
while True:
    s.accept()
`, "{sock}")...)
		r.L.Ready = readiness.Unix{NoConnect: i == 1}
		pod := r.Launch(launcher.Spec{Name: "alice"})
		if err := pod.Verify(t.Context()); err != nil {
			t.Error(err)
		}
		if err := pod.Stop(t.Context()); err != nil {
			t.Error(err)
		}
	}
}

// W17: a server that does not remove its socket is launched again after a crash.
func TestSocketThatACrashHasLeft(t *testing.T) {
	leaktest.Parallel(t)
	r := newRig(t)
	r.L.Command = launcher.Exec(real(t, "python3"), "-c", `
import socket, sys
s = socket.socket(socket.AF_UNIX)
s.bind(sys.argv[1])
s.listen()
while True:
    s.accept()
`, "{dir}/x.sock")
	r.L.Ready = readiness.Unix{Path: "x.sock"}
	for range 2 {
		pod := r.Launch(launcher.Spec{Name: "alice"})
		if err := unix.Kill(pod.PID(), unix.SIGKILL); err != nil {
			t.Fatal(err)
		}
		<-pod.Done()
	}
}

// Each pod has its own facts, which the probe learned besides the endpoint. A pod from
// Attach has none.
func TestFactsOfAPod(t *testing.T) {
	r := newRig(t)
	url := readiness.NewFact[string]("the URL of DevTools")
	r.L.Ready = readiness.Pattern{
		Regexp: regexp.MustCompile(`^DevTools listening on (?P<value>ws://(?P<address>[^/]+)\S+)$`),
		Value:  url,
	}
	for _, name := range []string{"alice", "bob"} {
		want := "ws://127.0.0.1:9222/devtools/browser/" + name
		r.L.Command = launcher.Exec("/bin/sh", "-c", `echo "DevTools listening on $0" >&2; exec sleep 600`, want)
		pod := r.Launch(launcher.Spec{Name: name})
		if got, ok := url.Of(pod.Facts()); !ok || got != want {
			t.Errorf("%s: got %q, %v", name, got, ok)
		}
		attached, err := r.L.Attach(t.Context(), name)
		if err != nil {
			t.Fatal(err)
		}
		if got, ok := url.Of(attached.Facts()); ok {
			t.Errorf("%s, attached: got %q", name, got)
		}
		attached.Release()
	}
}

// W24, W33: a line that says "never" is the reason, at once.
func TestLineThatSaysNever(t *testing.T) {
	r := newRig(t)
	r.shell(`echo "[nodemon] starting" >&2; printf '\033[31m[nodemon] app crashed - waiting for file changes\033[39m\n' >&2; exec sleep 600`)
	r.L.Ready = readiness.Pattern{Regexp: regexp.MustCompile(`listening`), Fail: regexp.MustCompile(`app crashed`)}
	e := r.Fail(t.Context(), launcher.Spec{Name: "alice"})
	if !strings.Contains(e.Error(), "app crashed") || e.Elapsed > r.L.Timeout/2 && r.L.Timeout > 0 {
		t.Errorf("after %v: %v", e.Elapsed, e)
	}
}
