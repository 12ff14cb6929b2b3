//go:build unix

package readiness_test

import (
	"fmt"
	"io"
	"net"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/podlaunch/podlaunch/readiness"
	"github.com/podlaunch/podlaunch/readiness/readinesstest"
)

// talker is a server that answers each connection with answer, until the test ends.
func talker(t *testing.T, l net.Listener, answer func(net.Conn)) {
	t.Helper()
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			answer(conn)
			conn.Close()
		}
	}()
	t.Cleanup(func() {
		l.Close()
		<-done
	})
}

// W30: Talk sends something and expects something, on a port and on a unix socket. The
// answer may come in any pieces. A server that speaks first passes too.
func TestTalk(t *testing.T) {
	echo := func(conn net.Conn) {
		buf := make([]byte, 6)
		if _, err := io.ReadFull(conn, buf); err == nil {
			for _, b := range []byte("+PONG\r\n") {
				conn.Write([]byte{b})
			}
			io.Copy(io.Discard, conn) // it stays open
		}
	}
	banner := func(conn net.Conn) { fmt.Fprint(conn, "220-hello\r\n220 mail.example ESMTP\r\n") }
	for _, c := range []struct {
		network string
		answer  func(net.Conn)
		p       readiness.Talk
	}{
		{"tcp", echo, readiness.Talk{Send: "PING\r\n", Expect: regexp.MustCompile(`^\+PONG\r\n$`)}},
		{"unix", echo, readiness.Talk{Send: "PING\r\n", Expect: regexp.MustCompile(`^\+PONG\r\n$`)}},
		{"tcp", banner, readiness.Talk{Expect: regexp.MustCompile(`(?m)^220 `)}},
	} {
		address := map[string]string{"tcp": "127.0.0.1:0", "unix": filepath.Join(shortDir(t), "s")}[c.network]
		l, err := net.Listen(c.network, address)
		if err != nil {
			t.Fatal(err)
		}
		talker(t, l, c.answer)
		to := target(t, nil)
		to.Endpoint = readiness.Endpoint{Network: c.network, Address: l.Addr().String()}
		e, err := c.p.Wait(t.Context(), to)
		if err != nil || e != to.Endpoint {
			t.Errorf("%v on %s: %v, %v", c.p, c.network, e, err)
		}
	}
}

// The wrong answer, half of one, none, and one without end are tried again, within
// the attempt's time; the last one is in the error.
func TestTalkRetries(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name   string
		answer func(net.Conn)
		says   string
	}{
		{"wrong", func(conn net.Conn) {
			io.ReadFull(conn, make([]byte, len("PING\r\n")))
			io.WriteString(conn, "-LOADING\r\n")
		}, `has ended, and does not match: "-LOADING\r\n"`},
		{"nothing", func(conn net.Conn) { io.Copy(io.Discard, conn) }, `no answer within 20ms`},
		{"half", func(conn net.Conn) { io.WriteString(conn, "+PO"); io.Copy(io.Discard, conn) }, `does not match: "+PO"`},
		{"without end", func(conn net.Conn) {
			for chunk := []byte(strings.Repeat("x", 1<<12)); ; {
				if _, err := conn.Write(chunk); err != nil {
					return
				}
			}
		}, "the first 65536 bytes of the answer"},
	} {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		talker(t, l, c.answer)
		to := target(t, nil)
		to.Endpoint = readiness.Endpoint{Network: "tcp", Address: l.Addr().String()}
		p := readiness.Talk{Send: "PING\r\n", Expect: regexp.MustCompile(`PONG`), Schedule: readiness.Schedule{Attempt: 20 * time.Millisecond}}
		var last error
		attempts := 0
		p.Final = func(err error) bool {
			attempts, last = attempts+1, err
			// On a busy machine the time of an attempt may be over before the answer comes.
			return attempts >= 3 && strings.Contains(err.Error(), c.says) || attempts == 100
		}
		if c.name == "without end" {
			p.Attempt = 0
		}
		if _, err := p.Wait(t.Context(), to); err == nil || err.Error() != last.Error() {
			t.Errorf("%s: %v", c.name, err)
		}
		mustSay(t, last, c.says)
	}
	to := target(t, nil)
	to.Endpoint = address(filepath.Join(shortDir(t), "none"))
	_, took, err := await(t, readiness.Talk{Expect: regexp.MustCompile(`x`)}, to)
	if pending(t, err, errOver); took != patience {
		t.Errorf("after %v: %v", took, err)
	}
	mustBe(t, err, syscall.ENOENT)
}

// What makes no sense is refused.
func TestTalkRefused(t *testing.T) {
	_, err := readiness.Prepare(t.Context(), readiness.Talk{}, &readiness.Setup{})
	mustSay(t, err, "readiness.Talk.Expect: it is nil")
	_, err = readiness.Prepare(t.Context(), readiness.Talk{Expect: regexp.MustCompile(`x`), Schedule: readiness.Schedule{Delay: -1}}, &readiness.Setup{})
	mustSay(t, err, "readiness.Talk.Delay")
	_, err = readiness.Talk{Expect: regexp.MustCompile(`x`)}.Wait(t.Context(), target(t, nil))
	mustSay(t, err, "readiness.Talk", "no endpoint")
}

// talkCase is a pod that is ready once it says so to each client that connects.
func talkCase(t *testing.T) readinesstest.Case {
	c := tcpSocketCase(t)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	c.Target.Endpoint.Address = l.Addr().String()
	c.Probe = readiness.Talk{Expect: regexp.MustCompile(`up`)}
	c.Want = c.Target.Endpoint
	c.Fail = nil
	c.Ready = func(*readiness.Setup) { talker(t, l, func(conn net.Conn) { io.WriteString(conn, "up") }) }
	return c
}

// W30 with redis itself, W29 on the way to it.
func TestTalkToRedis(t *testing.T) {
	path, err := exec.LookPath("redis-server")
	if err != nil {
		t.Skipf("not run: %v", err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_, port, _ := net.SplitHostPort(l.Addr().String())
	l.Close()
	c := exec.Command(path, "--port", port, "--save", "", "--dir", t.TempDir())
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		c.Process.Kill()
		c.Wait()
	})
	p := readiness.Sequence{
		readiness.TCP{Address: ":" + port},
		readiness.Talk{Send: "PING\r\n", Expect: regexp.MustCompile(`^\+PONG\r\n`)},
	}
	to := target(t, nil)
	to.PID = c.Process.Pid
	if e, err := p.Wait(t.Context(), to); err != nil || e.Address != "127.0.0.1:"+port {
		t.Errorf("got %v, %v", e, err)
	}
}
