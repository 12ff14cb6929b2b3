//go:build linux

package signs_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/podlaunch/podlaunch/launcher"
	"github.com/podlaunch/podlaunch/launcher/internal/leaktest"
	"github.com/podlaunch/podlaunch/launcher/internal/podrig"
	"github.com/podlaunch/podlaunch/logsource"
	"github.com/podlaunch/podlaunch/readiness"
	"golang.org/x/sys/unix"
)

// freePort returns an address on which nobody listens, and nobody will unless told
// to: until the test ends it is bound, as a server may do once more (SO_REUSEADDR,
// socket(7)), and nobody is given it who asks for any.
func freePort(t *testing.T) string {
	t.Helper()
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Close(fd) })
	at := &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}
	if err := errors.Join(unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_REUSEADDR, 1), unix.Bind(fd, at)); err != nil {
		t.Fatal(err)
	}
	name, err := unix.Getsockname(fd)
	if err != nil {
		t.Fatal(err)
	}
	return fmt.Sprint("127.0.0.1:", name.(*unix.SockaddrInet4).Port)
}

// python serves the pod's working directory over HTTP at addr.
func python(t *testing.T, addr string) launcher.CommandResolver {
	t.Helper()
	if _, err := exec.LookPath("python3"); err != nil {
		if os.Getenv("CI") != "" {
			t.Fatalf("CI must have python3: %v", err)
		}
		t.Skipf("python3 is not installed: %v", err)
	}
	host, port, _ := net.SplitHostPort(addr)
	return launcher.Exec("python3", "-u", "-m", "http.server", port, "--bind", host)
}

// pythonLine is what it says when it listens.
var pythonLine = regexp.MustCompile(`Serving HTTP on (?P<host>\S+) port (?P<port>\d+)`)

// A real server that knows nothing of ready lines is ready by what it says, by
// its port, by an answer, or by a command's word, and can be dialled where the
// probe has learned that it is.
func TestProbesOfAServer(t *testing.T) {
	leaktest.Parallel(t)
	if testing.Short() {
		t.Skip("skipped with -short: it starts a real server many times")
	}
	fixed := freePort(t)
	for _, c := range []struct {
		name string
		addr string
		p    readiness.Probe
	}{
		{"Pattern", "127.0.0.1:0", readiness.Pattern{Regexp: pythonLine}},
		{"Pattern of any host", "0.0.0.0:0", readiness.Sequence{readiness.Pattern{Regexp: pythonLine}, readiness.TCP{}}},
		{"TCP", fixed, readiness.TCP{Address: fixed}},
		{"HTTP", fixed, readiness.HTTP{URL: "http://" + fixed + "/stderr.log", Body: func(body []byte) error {
			if !pythonLine.Match(body) {
				return errors.New("it does not serve its directory")
			}
			return nil
		}}},
		{"HTTP of what was learned", "127.0.0.1:0", readiness.All{readiness.Sequence{
			readiness.Pattern{Regexp: pythonLine},
			readiness.HTTP{URL: "/", Schedule: readiness.Schedule{Successes: 2}},
		}, readiness.File{Path: logsource.DefaultName}}},
		{"Exec", "127.0.0.1:0", readiness.Sequence{
			readiness.Pattern{Regexp: pythonLine},
			readiness.Exec{Path: "python3", Args: []string{"-c", "import os, urllib.request as u; u.urlopen('http://' + os.environ['POD_ADDRESS'])"}},
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := newRig(t)
			r.L.Command, r.L.Ready = python(t, c.addr), c.p
			if err := os.Mkdir(r.Dir("web"), 0o700); err != nil {
				t.Fatal(err)
			}
			pod := r.Launch(launcher.Spec{Name: "web", Dir: r.Dir("web"), LogStdout: true})
			client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
			resp, err := client.Get("http://" + pod.Endpoint().Address)
			if err != nil {
				t.Fatal(err)
			}
			defer resp.Body.Close()
			if body, err := io.ReadAll(resp.Body); err != nil || !strings.Contains(string(body), "Directory listing") {
				t.Errorf("it answered %q, %v", body, err)
			}
		})
	}
}

// Each probe of the box finds a pod that is ready in its way: it waits until the
// test lets the pod go on, and no longer.
func TestProbes(t *testing.T) {
	leaktest.Parallel(t)
	addr := regexp.MustCompile(`on (?P<address>\S+)`)
	for _, c := range []struct {
		name  string
		p     readiness.Probe
		steps []string // once the pod may go on
		want  string   // the endpoint, with DIR for the directory
	}{
		{"Pattern", readiness.Pattern{Regexp: addr}, []string{"say listening on /run/x"}, "unix:/run/x"},
		{"Pattern, a later one", readiness.Pattern{Regexp: addr, Occurrence: 2}, []string{"say on :1", "say on :2"}, "tcp:127.0.0.1:2"},
		{"Pattern, then Socket", readiness.Sequence{readiness.Pattern{Regexp: addr, Network: "unix"}, readiness.Socket{}}, []string{"listen", `write "on {sock}\n"`}, "unix:DIR/sock"},
		{"Unix", readiness.Unix{}, []string{"listen"}, "unix:DIR/sock"},
		{"Unix, a path", readiness.Unix{Path: "other"}, []string{"listen DIR/other"}, "unix:DIR/other"},
		{"File", readiness.File{Path: "ready"}, []string{"pid DIR/ready"}, "no endpoint"},
		{"File, then Unix", readiness.Sequence{readiness.Unix{}, readiness.File{Path: "ready"}}, []string{"listen", "pid DIR/ready"}, "unix:DIR/sock"},
		{"File, its content", readiness.File{Path: "ready", Match: regexp.MustCompile(`^(?P<port>\d{1,4})`)}, []string{"pid DIR/ready"}, "tcp:127.0.0.1:PORT"},
		{"Exec", readiness.Exec{Path: "test", Args: []string{"-s", "DIR/ready"}}, []string{"pid DIR/ready"}, "no endpoint"},
		{"Exec, what it is told", readiness.Exec{Path: "sh", Args: []string{"-c", `test "$(cat "$POD_RUNTIME_DIR"/ready)" = "$POD_PID"`}}, []string{"pid DIR/ready"}, "no endpoint"},
		{"any", readiness.Any{readiness.File{Path: "no"}, readiness.Unix{}, readiness.TCP{Address: freePort(t)}}, []string{"listen"}, "unix:DIR/sock"},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := newRig(t)
			in := func(s string) string { return strings.ReplaceAll(s, "DIR", r.Dir("alice")) }
			gate := r.Fifo("gate")
			steps := []string{"say starting", "await " + gate}
			for _, step := range c.steps {
				steps = append(steps, in(step))
			}
			if p, ok := c.p.(readiness.Exec); ok {
				for i, arg := range p.Args {
					p.Args[i] = in(arg)
				}
			}
			r.L.Command, r.L.Ready = podrig.Script(append(steps, "hang")...), c.p
			opened := make(chan error, 1)
			pod := r.Launch(launcher.Spec{Name: "alice", Progress: func(line string) {
				if line == "starting" {
					f, err := os.OpenFile(gate, os.O_WRONLY, 0)
					if err == nil {
						f.Close()
					}
					opened <- err
				}
			}})
			if err := <-opened; err != nil {
				t.Error(err)
			}
			want := strings.ReplaceAll(in(c.want), "PORT", fmt.Sprintf("%.4s", strconv.Itoa(pod.PID())))
			if got := pod.Endpoint().String(); got != want {
				t.Errorf("the endpoint is %s, want %s", got, want)
			}
		})
	}
}

// A pod that does not become ready in the way that was asked for: the launch
// ends at its deadline, or at once where it never will be, and says what was
// wrong; nothing is left.
func TestProbesFail(t *testing.T) {
	leaktest.Parallel(t)
	if testing.Short() {
		t.Skip("skipped with -short: it launches a pod for each way to fail")
	}
	free := freePort(t)
	ready := regexp.MustCompile("ready")
	// The caller gives up once what a row is about has happened: its pod has said
	// "ready", or two checks have failed.
	var giveUp context.CancelFunc
	twice := func(attempt time.Duration) readiness.Schedule {
		failed := 0
		return readiness.Schedule{Attempt: attempt, Final: func(error) bool {
			if failed++; failed == 2 {
				giveUp()
			}
			return false
		}}
	}
	for _, c := range []struct {
		name  string
		p     readiness.Probe
		steps []string
		is    error
		says  []string
	}{
		{"Pattern, silence", readiness.Pattern{Regexp: ready, Occurrence: 2}, []string{"say ready", "hang"}, context.Canceled,
			[]string{`still waiting for a line that matches "ready" (number 2)`, "1 of 2 such lines have come"}},
		{"Pattern, a broken promise", readiness.Pattern{Regexp: regexp.MustCompile(`port (?P<port>\d*)`)}, []string{"say port none", "hang"}, nil,
			[]string{"readiness.Pattern.Regexp", `the group port of "port (?P<port>\\d*)" is empty in "port none"`}},
		{"Pattern, exit", readiness.Pattern{Regexp: ready}, []string{"say cannot bind", "exit 3"}, launcher.ErrExitedEarly, []string{"exit status 3", "cannot bind"}},
		{"TCP, closed", readiness.TCP{Address: free}, []string{"hang"}, launcher.ErrTimeout, []string{"an answer on tcp:" + free, "attempts: ", "connection refused"}},
		{"TCP, exit", readiness.TCP{Address: free}, []string{"exit 3"}, launcher.ErrExitedEarly, []string{"exit status 3"}}, // refused or not: it may be the first dial that the exit ends
		{"TCP, nothing learned", readiness.TCP{}, []string{"hang"}, nil, []string{"readiness.TCP.Address"}},
		{"HTTP, closed", readiness.HTTP{URL: "http://" + free + "/healthz"}, []string{"hang"}, launcher.ErrTimeout, []string{"2xx in answer to GET http://" + free + "/healthz", "connection refused"}},
		{"HTTP, no HTTP", readiness.Sequence{readiness.Unix{}, readiness.HTTP{URL: "/", Schedule: twice(podrig.Ample)}}, []string{"listen", "hang"}, context.Canceled, []string{"malformed HTTP"}},
		{"HTTP, no answer", readiness.Sequence{readiness.Unix{}, readiness.HTTP{URL: "/", Schedule: twice(50 * time.Millisecond)}}, []string{"mute", "hang"}, context.Canceled, []string{"2xx in answer to GET /", "attempts: 2", "no answer within 50ms"}},
		{"Unix, missing", readiness.Unix{Path: "other"}, []string{"listen", "hang"}, launcher.ErrTimeout, []string{"alice/other", "no such file"}},
		{"Unix, a datagram socket", readiness.Unix{}, []string{"dgram", "hang"}, nil, []string{"another type"}},
		{"Exec, fails", readiness.Exec{Path: "sh", Args: []string{"-c", "echo not yet; exit 7"}, Schedule: twice(podrig.Ample)}, []string{"hang"}, context.Canceled,
			[]string{"success of the command sh -c echo not yet; exit 7", `exit status 7: "not yet"`}},
		{"Exec, hangs", readiness.Exec{Path: "sh", Args: []string{"-c", "sleep 1000 & sleep 1000"}, Schedule: twice(50 * time.Millisecond)}, []string{"hang"}, context.Canceled, []string{"attempts: 2", "no answer within 50ms: ", "signal: killed"}},
		{"Exec, exit", readiness.Exec{Path: "sleep", Args: []string{"1000"}}, []string{"exit 3"}, launcher.ErrExitedEarly, []string{"exit status 3"}},
		{"File, missing", readiness.File{Path: "ready"}, []string{"hang"}, launcher.ErrTimeout, []string{`the file "ready"`, "no such file"}},
		{"File, of an earlier run", readiness.File{Path: "old"}, []string{"hang"}, launcher.ErrTimeout, []string{"was there before the pod was started"}},
		{"All", readiness.All{readiness.Pattern{Regexp: ready}, readiness.Unix{}, readiness.File{Path: "no"}}, []string{"say ready", "hang"}, context.Canceled,
			[]string{"still waiting for 2 of 3: an answer on unix:", `alice/sock (attempts: `, `, and the file "no" (attempts: `}},
		{"Timeout", readiness.Timeout{Probe: readiness.Unix{}, Limit: time.Millisecond}, []string{"hang"}, nil, []string{"an answer on unix:", "the limit of 1ms"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := newRig(t, c.steps...)
			r.L.Ready = c.p
			if err := os.Mkdir(r.Dir("alice"), 0o700); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(filepath.Join(r.Dir("alice"), "old"), nil, 0o600); err != nil {
				t.Fatal(err)
			}
			var ctx context.Context
			ctx, giveUp = context.WithCancel(t.Context())
			defer giveUp()
			spec := launcher.Spec{Name: "alice", Progress: func(line string) {
				if line == "ready" {
					giveUp()
				}
			}}
			var e *launcher.Error
			if c.is == launcher.ErrTimeout {
				e = failLate(r, ctx, spec, c.says)
			} else {
				e = r.Fail(ctx, spec)
			}
			if e.Stage != launcher.StageReady || e.PID == 0 {
				t.Errorf("it failed at stage %s with pid %d: %v", e.Stage, e.PID, e)
			}
			if c.is != nil {
				podrig.MustBe(t, e, c.is)
			} else if errors.Is(e, launcher.ErrTimeout) {
				t.Errorf("the launch ran out of time: %v", e)
			}
			podrig.MustSay(t, e, c.says...)
		})
	}
}

// failLate has a launch run out of time, with more time each try, until the pod
// was started, the probe has made an attempt, and the error says so.
func failLate(r *rig, ctx context.Context, spec launcher.Spec, says []string) *launcher.Error {
	r.T.Helper()
	for r.L.Timeout = podrig.Short / 4; ; r.L.Timeout *= 2 {
		e := r.Fail(ctx, spec)
		silent := func(part string) bool { return !strings.Contains(e.Error(), part) }
		if !slices.ContainsFunc(says, silent) || r.L.Timeout > podrig.Ample/4 {
			return e
		}
	}
}

// What cannot work is refused before the pod is started, with the field's name
// in the error, or at once when it is waited for; never by running out of time.
func TestProbesRefused(t *testing.T) {
	leaktest.Parallel(t)
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	stranger := taken.Addr().String()
	expr := regexp.MustCompile
	for _, c := range []struct {
		name string
		p    readiness.Probe
		says []string
	}{
		{"an empty All", readiness.All{}, []string{"readiness.All: it is empty"}},
		{"an empty Any", readiness.Any{}, []string{"readiness.Any: it is empty"}},
		{"an empty Sequence, deep", readiness.All{readiness.Any{readiness.Sequence{}}}, []string{"readiness.Sequence: it is empty"}},
		{"a nil probe", readiness.All{nil}, []string{"readiness.All: probe 0 of 1 is nil"}},
		{"a nil probe in a Timeout", readiness.Timeout{Limit: 1}, []string{"readiness.Timeout.Probe: it is nil"}},
		{"no pattern", readiness.Pattern{}, []string{"readiness.Pattern.Regexp: it is nil"}},
		{"a misspelt group", readiness.Pattern{Regexp: expr("(?P<adress>.*)")}, []string{"readiness.Pattern.Regexp", `"adress"`}},
		{"a host without a port", readiness.Pattern{Regexp: expr("(?P<host>.*)")}, []string{"readiness.Pattern.Regexp", "host without port"}},
		{"a network without an address", readiness.Pattern{Regexp: expr("(?P<network>.*)")}, []string{"readiness.Pattern.Regexp", "network without address"}},
		{"a negative occurrence", readiness.Pattern{Regexp: expr("x"), Occurrence: -1}, []string{"readiness.Pattern.Occurrence: it is -1"}},
		{"port 0", readiness.TCP{Address: "127.0.0.1:0"}, []string{"readiness.TCP.Address", "the port 0"}},
		{"a stranger's port", readiness.TCP{Address: stranger}, []string{"readiness.TCP.Address", stranger, "before the pod is started", "readiness.TCP.Shared"}},
		{"a stranger's server", readiness.HTTP{URL: "http://" + stranger + "/"}, []string{"readiness.HTTP.URL", stranger, "readiness.HTTP.Shared"}},
		{"no URL", readiness.HTTP{}, []string{"readiness.HTTP.URL: it is empty"}},
		{"a long path", readiness.Unix{Path: strings.Repeat("x", 200)}, []string{"readiness.Unix.Path", "the limit for a socket"}},
		{"no program", readiness.Exec{Path: "no-such-program"}, []string{"readiness.Exec.Path", "no-such-program"}},
		{"no function", readiness.ProbeFunc(nil), []string{"readiness.ProbeFunc: it is nil"}},
		{"no check", readiness.Poll{}, []string{"readiness.Poll.Check: it is nil"}},
		{"no file", readiness.File{}, []string{"readiness.File.Path: it is empty"}},
		{"a negative time", readiness.File{Path: "x", Schedule: readiness.Schedule{Max: -1}}, []string{"readiness.File.Max: it is -1ns"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := newRig(t, "hang")
			r.L.Ready = c.p
			e := r.Fail(t.Context(), launcher.Spec{Name: "alice"})
			if e.Stage != launcher.StageReady || e.PID != 0 {
				t.Errorf("it failed at stage %s with pid %d: %v", e.Stage, e.PID, e)
			}
			podrig.MustSay(t, e, c.says...)
		})
	}
}

// A stranger's port is allowed where the probe says so, and in an Any it is no
// reason not to launch: the others decide.
func TestProbesTolerateAStranger(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	stranger := taken.Addr().String()
	for _, c := range []struct {
		p    readiness.Probe
		want string
	}{
		{readiness.TCP{Address: stranger, Shared: true}, "tcp:" + stranger},
		{readiness.Any{readiness.TCP{Address: stranger}, readiness.Pattern{Regexp: regexp.MustCompile(`port (?P<port>\d+)`)}}, "tcp:127.0.0.1:80"},
	} {
		t.Run(c.want, func(t *testing.T) {
			r := newRig(t, "say port 80", "hang")
			r.L.Ready = c.p
			if pod := r.Launch(launcher.Spec{Name: "alice"}); pod.Endpoint().String() != c.want {
				t.Errorf("the endpoint is %v, want %s", pod.Endpoint(), c.want)
			}
		})
	}
}
