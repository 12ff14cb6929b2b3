package launchertest_test

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/podlaunch/podlaunch/launcher"
	"github.com/podlaunch/podlaunch/launcher/internal/leaktest"
	"github.com/podlaunch/podlaunch/launcher/launchertest"
	"github.com/podlaunch/podlaunch/readiness"
	"github.com/podlaunch/podlaunch/runtimedir"
)

// newLauncher returns a launcher of fake pods, and the runtime directory of the
// pod alice.
func newLauncher(t *testing.T, steps ...string) (*launcher.Launcher, string) {
	t.Helper()
	base, err := os.MkdirTemp("", "fake") // short, so that a socket below it can be bound
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(base) })
	leaktest.Check(t)
	return &launcher.Launcher{
		Command: launchertest.FakePod(steps...),
		Dir:     runtimedir.Dir(base),
		Timeout: time.Minute, // only ends a test that hangs
	}, filepath.Join(base, "alice")
}

// launch launches a pod that has to become ready, and stops it at the end.
func launch(t *testing.T, l *launcher.Launcher, spec launcher.Spec) *launcher.Pod {
	t.Helper()
	spec.Name = "alice"
	pod, err := l.Launch(t.Context(), spec)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := pod.Stop(context.Background()); err != nil {
			t.Error(err)
		}
	})
	return pod
}

// outcome launches a pod that exits, and returns what it wrote and how it ended.
func outcome(t *testing.T, steps ...string) (string, launcher.Exit) {
	t.Helper()
	l, dir := newLauncher(t, steps...)
	// What it announces is not what these tests are about.
	l.Ready = readiness.ProbeFunc(func(ctx context.Context, _ readiness.Target) (readiness.Endpoint, error) {
		<-ctx.Done()
		return readiness.Endpoint{}, context.Cause(ctx)
	})
	_, err := l.Launch(t.Context(), launcher.Spec{Name: "alice", LogStdout: true})
	var e *launcher.Error
	if !errors.As(err, &e) || e.Exit == nil {
		t.Fatalf("Launch returned %v", err)
	}
	log, err := os.ReadFile(e.LogPath)
	if err != nil {
		t.Fatal(err)
	}
	return strings.ReplaceAll(string(log), dir, "DIR"), *e.Exit
}

// What a pod writes is what its script says, and it ends as that says.
func TestOutput(t *testing.T) {
	for _, c := range []struct {
		steps []string
		wrote string
		exit  string
	}{
		{nil, "", "exit status 0"},
		{[]string{"say one", "say", "say  two "}, "one\n\n two \n", "exit status 0"},
		{[]string{`write "a\tb"`, `write "\x00\xff"`, "exit 3"}, "a\tb\x00\xff", "exit status 3"},
		{[]string{`bytes "one\n"`, "out two"}, "one\ntwo\n", "exit status 0"},
		{[]string{"repeat 3 line %d of {name}"}, "line 0 of alice\nline 1 of alice\nline 2 of alice\n", "exit status 0"},
		{[]string{"flood 150"}, strings.Repeat("x", 99) + "\n" + strings.Repeat("x", 50), "exit status 0"},
		{[]string{"longline 5"}, "yyyyy\n", "exit status 0"},
		{[]string{"fail no disk", "status half way"}, "INSOMNIA-FAIL\talice\tno disk\nINSOMNIA-STATUS\talice\thalf way\n", "exit status 0"},
		{[]string{"ready", "ready /x y"}, "INSOMNIA-READY\talice\tDIR/sock\nINSOMNIA-READY\talice\t/x y\n", "exit status 0"},
		{[]string{"say {dir} {sock} {addr} {other}"}, "DIR DIR/sock {addr} {other}\n", "exit status 0"},
		{[]string{"say one", "closestderr", "say two"}, "one\n", "exit status 0"},
		{[]string{"kill TERM"}, "", "signal: terminated"},
		{[]string{"kill SIGKILL"}, "", "signal: killed"},
		{[]string{"ignore 15", "kill 15", "exit 4"}, "", "exit status 4"},
		{[]string{"onterm say bye {name} ; exit 5", "kill TERM", "hang"}, "bye alice\n", "exit status 5"},
		{[]string{"onterm say bye", "kill TERM", "hang"}, "bye\n", "exit status 0"},
		{[]string{"exec say {name} ; exit 6"}, "alice\n", "exit status 6"},
		{[]string{"redirect {dir}/other", "say one"}, "", "exit status 0"},
	} {
		t.Run(strings.Join(c.steps, " ; "), func(t *testing.T) {
			wrote, exit := outcome(t, c.steps...)
			if wrote != c.wrote || exit.String() != c.exit {
				t.Errorf("it wrote %q and ended with %v, want %q and %s", wrote, exit, c.wrote, c.exit)
			}
		})
	}
}

// A step that cannot be taken ends the pod, which says which it was, and why.
func TestStepFails(t *testing.T) {
	for step, why := range map[string]string{
		"file {dir}/none/x y":  "no such file",
		"tcp nowhere":          "missing port",
		"notify-socket READY":  "NOTIFY_SOCKET is not set",
		"notify-barrier":       "NOTIFY_SOCKET is not set",
		"notify-fd $UNSET_VAR": "the descriptor",
		"notify-fd 77":         "bad file descriptor",
		"accept-fd 0":          "socket",
		"listen {dir}":         "address already in use",
	} {
		t.Run(step, func(t *testing.T) {
			wrote, exit := outcome(t, "say one", step, "say two")
			if exit.Code != launchertest.FakePodFailed || !strings.HasPrefix(wrote, "one\nfakepod: step "+strconv.Quote(step)) ||
				!strings.Contains(wrote, why) || strings.Contains(wrote, "two") {
				t.Errorf("it wrote %q and ended with %v", wrote, exit)
			}
		})
	}
}

// ask sends a line, and returns the answer.
func ask(t *testing.T, network, address string) string {
	t.Helper()
	conn, err := net.Dial(network, address)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	fmt.Fprintln(conn, "hello")
	answer, err := bufio.NewReader(conn).ReadString('\n')
	if err != nil {
		t.Error(err)
	}
	return answer
}

// The default probe finds a pod ready that listens and announces it, no matter which
// process of its script does so.
func TestReady(t *testing.T) {
	for name, steps := range map[string][]string{
		"itself":        {"listen", "ready", "hang"},
		"another path":  {"listen {dir}/other", "ready {dir}/other", "hang"},
		"a child":       {"spawn listen ; ready ; hang", "hang"},
		"another image": {"exec listen ; ready ; hang"},
	} {
		t.Run(name, func(t *testing.T) {
			l, _ := newLauncher(t, steps...)
			at := launch(t, l, launcher.Spec{}).Endpoint()
			if got := ask(t, at.Network, at.Address); got != "pong hello\n" {
				t.Errorf("it answered %q", got)
			}
		})
	}
}

// listening is a probe that takes a line "at ADDR" for the sign of life.
var listening = readiness.ProbeFunc(func(ctx context.Context, t readiness.Target) (readiness.Endpoint, error) {
	for line, err := range t.Lines(ctx) {
		if err != nil {
			return readiness.Endpoint{}, err
		}
		if at, found := bytes.CutPrefix(line, []byte("at ")); found {
			return readiness.Endpoint{Network: "tcp", Address: string(at)}, nil
		}
	}
	return readiness.Endpoint{}, context.Cause(ctx)
})

// A pod on TCP announces nothing by itself. Its script may announce the address.
func TestTCP(t *testing.T) {
	l, dir := newLauncher(t, "tcp 127.0.0.1:0", "file {dir}/addr {addr}", "say at {addr}", "hang")
	l.Ready = listening
	pod := launch(t, l, launcher.Spec{})
	at := pod.Endpoint().Address
	if got := ask(t, "tcp", at); got != "pong hello\n" {
		t.Errorf("it answered %q", got)
	}
	if data, err := os.ReadFile(filepath.Join(dir, "addr")); err != nil || string(data) != at {
		t.Errorf("the file says %q, %v, want %q", data, err, at)
	}
	if log, err := os.ReadFile(pod.LogPath()); err != nil || string(log) != "at "+at+"\n" {
		t.Errorf("it wrote %q, %v", log, err)
	}
}

// A pod that speaks HTTP answers each request with the next status, and repeats the last
// one from then on. It also answers requests with a body.
func TestHTTP(t *testing.T) {
	l, _ := newLauncher(t, "http 127.0.0.1:0 503,404,200 {name} is well", "say at {addr}", "hang")
	l.Ready = listening
	url := "http://" + launch(t, l, launcher.Spec{}).Endpoint().Address
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	for i, want := range []int{503, 404, 200, 200} {
		response, err := client.Post(url, "text/plain", strings.NewReader(strings.Repeat("x", i*100_000)))
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(response.Body)
		response.Body.Close()
		if err != nil || response.StatusCode != want || string(body) != "alice is well" {
			t.Errorf("request %d: %d, %q, %v, want %d", i, response.StatusCode, body, err, want)
		}
	}
}

// A mute pod accepts, and says nothing until it ends.
func TestMute(t *testing.T) {
	l, _ := newLauncher(t, "mute", "ready", "hang")
	pod := launch(t, l, launcher.Spec{})
	conn, err := pod.Dial(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	fmt.Fprintln(conn, "hello")
	if err := pod.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	if answer, err := io.ReadAll(conn); len(answer) > 0 || err != nil && !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("it answered %q, %v", answer, err)
	}
}

// A prepared probe calls prepare before the start, and wait afterwards.
type prepared struct {
	prepare func(s *readiness.Setup) error
	wait    func(ctx context.Context) (readiness.Endpoint, error)
}

func (p prepared) Prepare(_ context.Context, s *readiness.Setup) (readiness.Probe, error) {
	return p, p.prepare(s)
}

func (p prepared) Wait(ctx context.Context, _ readiness.Target) (readiness.Endpoint, error) {
	return p.wait(ctx)
}

// A pod serves a listener that it was handed, by number and by the name of a
// variable.
func TestAcceptFD(t *testing.T) {
	for _, step := range []string{"accept-fd 3", "accept-fd $PODLAUNCH_TEST_FD"} {
		t.Run(step, func(t *testing.T) {
			l, dir := newLauncher(t, step, "hang")
			path := filepath.Join(filepath.Dir(dir), "inherited")
			l.Ready = prepared{func(s *readiness.Setup) error {
				listener, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
				if err != nil {
					return err
				}
				listener.SetUnlinkOnClose(false)
				defer listener.Close()
				f, err := listener.File()
				if err != nil {
					return err
				}
				fd, err := s.AddFile(f)
				s.Env = append(s.Env, fmt.Sprintf("PODLAUNCH_TEST_FD=%d", fd))
				return err
			}, func(context.Context) (readiness.Endpoint, error) {
				return readiness.Endpoint{Network: "unix", Address: path}, nil
			}}
			launch(t, l, launcher.Spec{})
			if got := ask(t, "unix", path); got != "pong hello\n" {
				t.Errorf("it answered %q", got)
			}
		})
	}
}

// A pod writes a newline on the descriptor that it was handed, and closes it.
func TestNotifyFD(t *testing.T) {
	l, _ := newLauncher(t, "notify-fd $PODLAUNCH_TEST_FD", "hang")
	var ours *os.File
	l.Ready = prepared{func(s *readiness.Setup) error {
		r, w, err := os.Pipe()
		if err != nil {
			return err
		}
		ours = r
		fd, err := s.AddFile(w)
		s.Env = append(s.Env, fmt.Sprintf("PODLAUNCH_TEST_FD=%d", fd))
		return err
	}, func(ctx context.Context) (readiness.Endpoint, error) {
		defer context.AfterFunc(ctx, func() { ours.Close() })()
		data, err := io.ReadAll(ours) // until all copies are closed
		if string(data) != "\n" {
			err = errors.Join(err, fmt.Errorf("it wrote %q", data))
		}
		return readiness.Endpoint{}, errors.Join(err, ours.Close())
	}}
	launch(t, l, launcher.Spec{})
}

// A pod sends its state to the process that listens on $NOTIFY_SOCKET. At a barrier it
// waits until that process has closed the descriptor that came with the message.
func TestNotifySocket(t *testing.T) {
	l, dir := newLauncher(t, "notify-socket STATUS=half way", `notify-socket "READY=1\nMAINPID=7"`, "notify-barrier", "say past", "hang")
	path := filepath.Join(filepath.Dir(dir), "notify")
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	var states []string
	l.Ready = prepared{func(s *readiness.Setup) error {
		s.Env = append(s.Env, "NOTIFY_SOCKET="+path)
		return nil
	}, func(ctx context.Context) (readiness.Endpoint, error) {
		defer context.AfterFunc(ctx, func() { conn.Close() })()
		for {
			data, rights := make([]byte, 1<<10), make([]byte, syscall.CmsgSpace(4))
			n, m, _, _, err := conn.ReadMsgUnix(data, rights)
			if err != nil {
				return readiness.Endpoint{}, err
			}
			states = append(states, string(data[:n]))
			if m > 0 {
				return readiness.Endpoint{}, closeRights(rights[:m])
			}
		}
	}}
	past := make(chan string, 1)
	launch(t, l, launcher.Spec{Progress: func(line string) { past <- line }})
	if want := []string{"STATUS=half way", "READY=1\nMAINPID=7", "BARRIER=1"}; !slices.Equal(states, want) {
		t.Errorf("it told %q, want %q", states, want)
	}
}

// closeRights closes the descriptors that came with a message.
func closeRights(control []byte) error {
	messages, err := syscall.ParseSocketControlMessage(control)
	if err != nil {
		return err
	}
	for _, m := range messages {
		fds, err := syscall.ParseUnixRights(&m)
		if err != nil {
			return err
		}
		for _, fd := range fds {
			syscall.Close(fd)
		}
	}
	return nil
}

// What a pod writes about itself into files is whole when it is there, and true.
func TestFiles(t *testing.T) {
	l, dir := newLauncher(t, "pid {dir}/pid", "args {dir}/args", "env {dir}/env", "fds {dir}/fds",
		`file {dir}/plain yes, {name}`, `file "{dir}/quoted path" "a\tb\n"`, "file {dir}/empty", "listen", "ready", "hang")
	pod := launch(t, l, launcher.Spec{Overlay: "a = 1", Args: []string{"last"}, Env: append(os.Environ(), "PODLAUNCH_TEST_GIVEN=1")})
	for name, want := range map[string]string{
		"pid":         strconv.Itoa(pod.PID()),
		"args":        "--overlay\x00a = 1\x00last",
		"plain":       "yes, alice",
		"quoted path": "a\tb\n",
		"empty":       "",
	} {
		if data, err := os.ReadFile(filepath.Join(dir, name)); err != nil || string(data) != want {
			t.Errorf("%s: %q, %v, want %q", name, data, err, want)
		}
	}
	for name, part := range map[string]string{"env": "PODLAUNCH_TEST_GIVEN=1", "fds": "2 " + pod.LogPath()} {
		data, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil || !bytes.Contains(data, []byte(part)) {
			t.Errorf("%s lacks %q: %q, %v", name, part, data, err)
		}
	}
}

// A process that the pod starts in a session of its own is played too, and a
// test and a pod wait for each other by FIFOs.
func TestProcesses(t *testing.T) {
	l, dir := newLauncher(t)
	up, goOn := filepath.Join(filepath.Dir(dir), "up"), filepath.Join(filepath.Dir(dir), "go")
	if err := errors.Join(syscall.Mkfifo(up, 0o600), syscall.Mkfifo(goOn, 0o600)); err != nil {
		t.Fatal(err)
	}
	l.Command = launchertest.FakePod("setsid pid {dir}/child ; notify "+up+" ; await "+goOn, "listen", "ready", "hang")
	pod := launch(t, l, launcher.Spec{})
	if _, err := os.ReadFile(up); err != nil { // until the child is there
		t.Fatal(err)
	}
	data, err := os.ReadFile(filepath.Join(dir, "child"))
	if err != nil {
		t.Fatal(err)
	}
	child, err := strconv.Atoi(string(data))
	if err != nil {
		t.Fatal(err)
	}
	session, _, errno := syscall.Syscall(syscall.SYS_GETSID, uintptr(child), 0, 0)
	if errno != 0 || int(session) != child || child == pod.PID() {
		t.Errorf("the child %d of %d is of session %d, %v", child, pod.PID(), session, errno)
	}
	if err := os.WriteFile(goOn, nil, 0); err != nil {
		t.Error(err)
	}
}
