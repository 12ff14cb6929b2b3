package readiness_test

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/podlaunch/podlaunch/readiness"
)

// freePort is a port that nobody has, on any loopback.
func freePort(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", ":0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return strconv.Itoa(l.Addr().(*net.TCPAddr).Port)
}

// pod is the target that is the process pid, with the endpoint "tcp:"+learned unless
// that is empty.
func pod(t *testing.T, pid int, learned string) readiness.Target {
	to := target(t, nil)
	to.PID = pid
	if learned != "" {
		to.Endpoint = readiness.Endpoint{Network: "tcp", Address: learned}
	}
	return to
}

// briefly bounds a wait that is not to succeed.
func briefly(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeoutCause(t.Context(), 300*time.Millisecond, errOver)
	t.Cleanup(cancel)
	return ctx
}

// W19: where only a port is known, or the host stands for all, a server counts that
// is on any loopback, and that is the endpoint.
func TestEveryLoopback(t *testing.T) {
	t.Parallel()
	for _, host := range []string{"127.0.0.1", "::1"} {
		if testing.Short() && host == "127.0.0.1" {
			t.Log("with -short: only the other loopback")
			continue
		}
		port := freePort(t)
		at := net.JoinHostPort(host, port)
		child, _ := startChild(t, "serve-tcp", at, &syscall.SysProcAttr{Setsid: true})
		var all sync.WaitGroup
		for _, c := range []struct {
			p       readiness.Probe
			learned string
		}{
			{readiness.TCP{Address: ":" + port}, ""},
			{readiness.TCP{Address: "*:" + port}, ""},
			{readiness.TCP{Address: "0.0.0.0:" + port}, ""},
			{readiness.TCP{Address: "[::]:" + port}, ""},
			{readiness.TCP{Address: ":" + port, NoConnect: true}, ""},
			{readiness.Sequence{readiness.Pattern{Regexp: regexp.MustCompile(`port (?P<port>\d+)`)}, readiness.TCP{}}, ""},
			{readiness.Sequence{readiness.Pattern{Regexp: regexp.MustCompile(`port (?P<port>\d+)`)}, readiness.Socket{}}, ""},
			{readiness.TCP{}, "127.0.0.1:" + port},
			{readiness.TCP{NoConnect: true}, "[::1]:" + port},
			{readiness.Socket{}, "[::1]:" + port},
		} {
			to := pod(t, child, c.learned)
			to.Lines = logOf("port " + port)
			all.Go(func() { // each waits for a moment
				e, err := c.p.Wait(t.Context(), to)
				if err != nil || e.String() != "tcp:"+at {
					t.Errorf("%v with %q: got %v, %v, want %s", c.p, c.learned, e, err, at)
				}
			})
		}
		all.Wait()
		six := host == "::1"
		for network, ok := range map[string]bool{"tcp4": !six, "tcp6": six} {
			ctx := t.Context()
			if !ok {
				ctx = briefly(t)
			}
			e, err := readiness.TCP{Address: ":" + port, Network: network}.Wait(ctx, pod(t, child, ""))
			if ok != (err == nil) || ok && e.String() != network+":"+at {
				t.Errorf("%s: %v, %v", network, e, err)
			}
		}
		if _, err := (readiness.TCP{Address: net.JoinHostPort(map[bool]string{true: "127.0.0.1", false: "::1"}[six], port)}).Wait(briefly(t), pod(t, child, "")); err == nil {
			t.Errorf("a host that is fixed was not dialled alone")
		}
	}
}

// W19 with HTTP: the loopback that answers is asked, and one with the wrong answer
// does not hide one with the right one.
func TestEveryLoopbackOfHTTP(t *testing.T) {
	l, err := net.Listen("tcp", "[::1]:0")
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{Handler: http.HandlerFunc(func(http.ResponseWriter, *http.Request) {})}
	go server.Serve(l)
	t.Cleanup(func() { server.Close() })
	_, port, _ := net.SplitHostPort(l.Addr().String())
	for _, url := range []string{"http://:" + port + "/", "http://0.0.0.0:" + port + "/", "http://[::]:" + port + "/"} {
		e, err := readiness.HTTP{URL: url}.Wait(t.Context(), target(t, nil))
		if err != nil || e.Address != l.Addr().String() {
			t.Errorf("%s: %v, %v", url, e, err)
		}
	}
	e, err := readiness.HTTP{URL: "/"}.Wait(t.Context(), pod(t, os.Getpid(), "127.0.0.1:"+port))
	if err != nil || e.Address != l.Addr().String() {
		t.Errorf("learned: %v, %v", e, err)
	}
}

// W21: a port is not the pod's, no matter what the pod says, if a stranger has it that
// ran before the pod or is of another pod. The error names the field that allows it,
// and that field does allow it.
func TestPortOfAStranger(t *testing.T) {
	at := net.JoinHostPort("127.0.0.1", freePort(t))
	session := &syscall.SysProcAttr{Setsid: true}
	_, stranger := startChild(t, "serve-tcp", at, session)
	to := pod(t, laterPod(t, stranger), at)
	to.Lines = logOf("listening on " + at)
	says := readiness.Pattern{Regexp: regexp.MustCompile(`on (?P<address>\S+)$`)}
	for _, c := range []struct {
		p      readiness.Probe
		allows string
	}{
		{readiness.Sequence{says, readiness.TCP{}}, "readiness.TCP.Shared to true"},
		{readiness.TCP{NoConnect: true}, "readiness.TCP.Shared to true"},
		{readiness.TCP{Address: at}, "readiness.TCP.Shared to true"},
		{readiness.HTTP{URL: "/"}, "readiness.HTTP.Shared to true"},
		{readiness.Sequence{says, readiness.Socket{}}, "readiness.Socket.Peer to readiness.AnyPeer"},
	} {
		_, err := c.p.Wait(t.Context(), to)
		mustBe(t, err, readiness.ErrForeignPeer)
		mustSay(t, err, fmt.Sprintf("pid %d", stranger), "ran before the pod", at, c.allows)
	}
	for _, p := range []readiness.Probe{readiness.TCP{Shared: true}, readiness.TCP{Address: at, Shared: true}, readiness.Socket{Peer: readiness.AnyPeer}} {
		if e, err := p.Wait(t.Context(), to); err != nil || e.Address != at {
			t.Errorf("%v: %v, %v", p, e, err)
		}
	}
	to.PID = 0
	if _, err := (readiness.TCP{}).Wait(t.Context(), to); err != nil {
		t.Errorf("the pod's pid is not known: %v", err)
	}
}

// laterPod starts a process of nobody's later than the process pid by the clock of
// /proc, which ticks every 10 ms.
func laterPod(t *testing.T, pid int) int {
	t.Helper()
	for {
		later := otherPod(t)
		if started(t, later) > started(t, pid) {
			return later
		}
	}
}

func started(t *testing.T, pid int) (ticks int) {
	t.Helper()
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		t.Fatal(err)
	}
	fields := strings.Fields(string(stat[strings.LastIndexByte(string(stat), ')')+1:]))
	if ticks, err = strconv.Atoi(fields[19]); err != nil {
		t.Fatal(err)
	}
	return ticks
}

// W21: of another pod, which may be younger; and nobody's, which counts if it is
// younger: it may have been started for the pod, as the proxy of a container is.
func TestPortOfAnotherPod(t *testing.T) {
	for id, foreign := range map[string]bool{"other": true, "own": false, "": false} {
		own := exec.Command("cat")
		own.Env = []string{"POD_LAUNCH_ID=own"}
		stdin, err := own.StdinPipe()
		if err == nil {
			err = own.Start()
		}
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			stdin.Close()
			own.Wait()
		})
		at := net.JoinHostPort("127.0.0.1", freePort(t))
		t.Setenv("POD_LAUNCH_ID", id)
		_, other := startChild(t, "serve-tcp", at, &syscall.SysProcAttr{Setsid: true})
		_, err = readiness.TCP{}.Wait(t.Context(), pod(t, own.Process.Pid, at))
		if foreign {
			mustBe(t, err, readiness.ErrForeignPeer)
			mustSay(t, err, fmt.Sprintf("pid %d", other), "of another pod")
		} else if err != nil {
			t.Errorf("POD_LAUNCH_ID=%s: %v", id, err)
		}
	}
}

// W21: a stranger's answer at one loopback does not hide the pod at the other.
func TestStrangerAtTheOtherLoopback(t *testing.T) {
	t.Parallel()
	port := freePort(t)
	_, stranger := startChild(t, "serve-tcp", "127.0.0.1:"+port, &syscall.SysProcAttr{Setsid: true})
	laterPod(t, stranger)
	child, _ := startChild(t, "serve-tcp", "[::1]:"+port, &syscall.SysProcAttr{Setsid: true})
	for _, p := range []readiness.Probe{readiness.TCP{Address: ":" + port}, readiness.TCP{}, readiness.Socket{}} {
		e, err := p.Wait(t.Context(), pod(t, child, "127.0.0.1:"+port))
		if err != nil || e.Address != "[::1]:"+port {
			t.Errorf("%v: %v, %v", p, e, err)
		}
	}
}

// W20: a server looks whether its port is free by listening on it, as vite does
// (vite#21381). That listener is not readiness, whether the probe connects or looks, and
// with any Successes and Attempt. The real listener is.
func TestPortIsTriedFirst(t *testing.T) {
	if testing.Short() {
		t.Skip("skipped with -short: it waits until a port is open")
	}
	t.Parallel()
	for _, p := range []readiness.TCP{
		{},
		{Schedule: readiness.Schedule{Successes: 3}},
		{Schedule: readiness.Schedule{Attempt: 50 * time.Millisecond}},
	} {
		p.Address = net.JoinHostPort("127.0.0.1", freePort(t))
		c := self("blink-tcp", p.Address)
		stdin, _ := startServing(t, c)
		_, err := p.Wait(briefly(t), pod(t, c.Process.Pid, ""))
		pending(t, err, errOver)
		fmt.Fprintln(stdin)
		if _, err := p.Wait(t.Context(), pod(t, c.Process.Pid, "")); err != nil {
			t.Errorf("%+v: %v", p, err)
		}
	}
}

// W29: a server that takes a single connection (debugpy#974) keeps it: the probe
// looks, on a port and on a unix socket, also one by a relative path.
func TestNoConnect(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	dir := shortDir(t)
	t.Chdir(dir)
	named, err := net.Listen("unix", filepath.Join(dir, "abs"))
	if err != nil {
		t.Fatal(err)
	}
	defer named.Close()
	relative, err := net.Listen("unix", "rel")
	if err != nil {
		t.Fatal(err)
	}
	defer relative.Close()
	to := pod(t, os.Getpid(), l.Addr().String())
	to.RuntimeDir = dir
	learned := to
	learned.Endpoint = address(filepath.Join(dir, "abs"))
	for _, c := range []struct {
		p  readiness.Probe
		to readiness.Target
		l  net.Listener
	}{
		{readiness.TCP{NoConnect: true}, to, l},
		{readiness.TCP{Address: l.Addr().String(), NoConnect: true}, to, l},
		{readiness.TCP{Address: strings.Replace(l.Addr().String(), "127.0.0.1", "localhost", 1), NoConnect: true}, to, l},
		{readiness.Socket{NoConnect: true}, to, l},
		{readiness.Socket{NoConnect: true}, learned, named},
		{readiness.Unix{Path: "abs", NoConnect: true}, to, named},
		{readiness.Unix{Path: "rel", NoConnect: true}, to, relative},
	} {
		if _, err := c.p.Wait(t.Context(), c.to); err != nil {
			t.Errorf("%v: %v", c.p, err)
		}
		c.l.(interface{ SetDeadline(time.Time) error }).SetDeadline(time.Unix(1, 0))
		if conn, err := c.l.Accept(); err == nil {
			t.Errorf("%v: %v has connected", c.p, conn.RemoteAddr())
		}
	}
	if err := readiness.Verify(t.Context(), readiness.Socket{NoConnect: true}, learned); err != nil {
		t.Error(err)
	}
	stranger := to
	stranger.PID = otherPod(t)
	_, err = readiness.Unix{Path: "abs", NoConnect: true}.Wait(t.Context(), stranger)
	mustBe(t, err, readiness.ErrForeignPeer)
	mustSay(t, err, fmt.Sprintf("pid %d", os.Getpid()), "readiness.Unix.Peer to readiness.SameUser")
	if _, err := (readiness.Unix{Path: "abs", NoConnect: true, Peer: readiness.SameUser}).Wait(t.Context(), stranger); err != nil {
		t.Errorf("SameUser: %v", err)
	}
}

// W29: the probe waits while no process listens: there is no socket, or a socket that
// is only bound, left behind or closed.
func TestNoConnectWaits(t *testing.T) {
	t.Parallel()
	dir := shortDir(t)
	to := pod(t, os.Getpid(), "")
	to.RuntimeDir = dir
	fd, err := syscall.Socket(syscall.AF_UNIX, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer syscall.Close(fd)
	p := readiness.Unix{Path: "bound", NoConnect: true}
	_, err = p.Wait(briefly(t), to)
	mustBe(t, pending(t, err, errOver), syscall.ENOENT)
	if err := syscall.Bind(fd, &syscall.SockaddrUnix{Name: filepath.Join(dir, "bound")}); err != nil {
		t.Fatal(err)
	}
	_, err = p.Wait(briefly(t), to)
	mustBe(t, pending(t, err, errOver), syscall.ECONNREFUSED)
	done := make(chan error, 1)
	go func() {
		_, err := p.Wait(t.Context(), to)
		done <- err
	}()
	if err := syscall.Listen(fd, 1); err != nil {
		t.Fatal(err)
	}
	if err := <-done; err != nil {
		t.Error(err)
	}
	_, err = readiness.TCP{Address: ":" + freePort(t), NoConnect: true}.Wait(briefly(t), to)
	mustBe(t, pending(t, err, errOver), syscall.ECONNREFUSED)
}

// W32: an abstract socket is refused, before the start and by Wait.
func TestUnixThatIsAbstract(t *testing.T) {
	p, setup := readiness.Unix{Path: "@x"}, &readiness.Setup{Name: "pod", RuntimeDir: t.TempDir()}
	for _, wait := range []bool{false, true} {
		var err error
		if wait {
			_, err = p.Wait(t.Context(), pod(t, os.Getpid(), ""))
		} else {
			_, err = readiness.Prepare(t.Context(), p, setup)
		}
		mustSay(t, err, "readiness.Unix.Path", `"@x"`, "abstract", "./@x")
	}
}
