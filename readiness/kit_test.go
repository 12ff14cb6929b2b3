//go:build unix

package readiness_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/podlaunch/podlaunch/readiness"
	"github.com/podlaunch/podlaunch/readiness/readinesstest"
)

// few are the probes that TestKit tries with -short.
var few = []string{"ReadyLine", "Socket unix", "Poll", "Sequence", "NotifyFD"}

// Every probe of this package keeps the contract of a probe.
func TestKit(t *testing.T) {
	for _, probe := range []struct {
		name    string
		newCase func(t *testing.T) readinesstest.Case
	}{
		{"ReadyLine", func(t *testing.T) readinesstest.Case { return lineCase(readiness.ReadyLine{}) }},
		{"ReadyLine lenient", func(t *testing.T) readinesstest.Case {
			c := lineCase(readiness.ReadyLine{Lenient: true})
			c.Fail = nil
			return c
		}},
		{"ReadyLine of a pod that says that it has failed", func(t *testing.T) readinesstest.Case {
			c := lineCase(readiness.ReadyLine{})
			log := new(readinesstest.Log)
			c.Target.Lines = log.Lines
			c.Ready = func(*readiness.Setup) {
				fmt.Fprint(log, "INSOMNIA-STATUS\tpod\thalf way\nINSOMNIA-READY\tpod\tsock\n")
			}
			c.Fail = func(*readiness.Setup) { fmt.Fprint(log, "INSOMNIA-FAIL\tpod\tno disk\n") }
			return c
		}},
		{"ReadyLine another prefix", func(t *testing.T) readinesstest.Case {
			log := new(readinesstest.Log)
			c := lineCase(readiness.ReadyLine{Prefix: "UP"})
			c.Target.Lines = log.Lines
			c.Ready = func(*readiness.Setup) { fmt.Fprint(log, "UP\tpod\t/run/sock\n") }
			c.Fail = func(*readiness.Setup) { fmt.Fprint(log, "UP\tpod\n") }
			c.Want.Address = "/run/sock"
			return c
		}},
		{"Socket unix", func(t *testing.T) readinesstest.Case { return socketCase(t, readiness.Socket{}) }},
		{"Socket tcp", tcpSocketCase},
		{"Socket tcp by TCP", func(t *testing.T) readinesstest.Case {
			c := tcpSocketCase(t)
			c.Probe = readiness.TCP{}
			return c
		}},
		{"Socket tcp by TCP at an address", func(t *testing.T) readinesstest.Case {
			c := tcpSocketCase(t)
			c.Probe, c.Want, c.OnePod = readiness.TCP{Address: c.Target.Endpoint.Address}, c.Target.Endpoint, true
			return c
		}},
		{"Socket tcp by HTTP", func(t *testing.T) readinesstest.Case { return httpCase(t, false) }},
		{"Socket tcp by HTTP at a URL", func(t *testing.T) readinesstest.Case { return httpCase(t, true) }},
		{"Socket unix by Unix", func(t *testing.T) readinesstest.Case {
			c := socketCase(t, readiness.Unix{})
			c.Want, c.Target.RuntimeDir = c.Target.Endpoint, filepath.Dir(c.Target.Endpoint.Address)
			return c
		}},
		{"Socket tcp by Talk", talkCase},
		{"Pattern", func(t *testing.T) readinesstest.Case {
			return patternCase(readiness.Pattern{Regexp: regexp.MustCompile(`serving on (?P<address>\S+)`), Occurrence: 2})
		}},
		{"Pattern without an address", func(t *testing.T) readinesstest.Case {
			c := patternCase(readiness.Pattern{Regexp: regexp.MustCompile(`up and running`)})
			c.Want, c.Fail = readiness.Endpoint{}, nil
			return c
		}},
		{"Exec", func(t *testing.T) readinesstest.Case {
			c := fileCase(t, readiness.Exec{Path: "test", Args: []string{"-f", "up"}})
			c.Target.WorkDir = c.Target.RuntimeDir
			return c
		}},
		{"File", func(t *testing.T) readinesstest.Case { return fileCase(t, readiness.File{Path: "up"}) }},
		{"File with an address", func(t *testing.T) readinesstest.Case {
			c := fileCase(t, readiness.File{Path: "up", Match: regexp.MustCompile(`(?m)^at (?P<address>\S+)$`)})
			c.Want = readiness.Endpoint{Network: "tcp", Address: "127.0.0.1:80"}
			c.Fail = func(*readiness.Setup) { // it will not become a regular one
				if err := os.Mkdir(filepath.Join(c.Target.RuntimeDir, "up"), 0o700); err != nil {
					t.Fatal(err)
				}
			}
			return c
		}},
		{"ProbeFunc", func(t *testing.T) readinesstest.Case {
			return lineCase(readiness.ProbeFunc(readiness.ReadyLine{}.Wait))
		}},
		{"Poll", func(t *testing.T) readinesstest.Case { return pollCase(readiness.Schedule{}) }},
		{"Poll stable", func(t *testing.T) readinesstest.Case {
			return pollCase(readiness.Schedule{Successes: 3, Stable: 5 * time.Millisecond, Attempt: time.Minute})
		}},
		{"Sequence", sequenceCase},
		{"Sequence of one", func(t *testing.T) readinesstest.Case { return lineCase(readiness.Sequence{readiness.ReadyLine{}}) }},
		{"All", func(t *testing.T) readinesstest.Case {
			return lineCase(readiness.All{noted{}, readiness.ReadyLine{}})
		}},
		{"All of one", func(t *testing.T) readinesstest.Case { return lineCase(readiness.All{readiness.ReadyLine{}}) }},
		{"Any", func(t *testing.T) readinesstest.Case {
			c := lineCase(readiness.Any{readinesstest.Never{}, readiness.ReadyLine{}})
			c.Fail = nil // the other one goes on
			return c
		}},
		{"Any of one", func(t *testing.T) readinesstest.Case { return lineCase(readiness.Any{readiness.ReadyLine{}}) }},
		{"Timeout", func(t *testing.T) readinesstest.Case {
			return lineCase(readiness.Timeout{Probe: readiness.ReadyLine{}, Limit: time.Hour})
		}},
		{"NotifyFD", func(t *testing.T) readinesstest.Case { return notifyCase(t, readiness.NotifyFD{}) }},
		{"NotifyFD with a line", func(t *testing.T) readinesstest.Case {
			c := notifyCase(t, readiness.NotifyFD{Match: regexp.MustCompile(`^$`)})
			return c
		}},
		{"NotifyFD at a descriptor", func(t *testing.T) readinesstest.Case { return notifyCase(t, readiness.NotifyFD{FD: 7}) }},
		{"Socket unix of a Listener", func(t *testing.T) readinesstest.Case {
			// By itself it finds every pod ready at once.
			c := notifyCase(t, readiness.Sequence{readiness.Listener{}, readiness.NotifyFD{}})
			c.Target.RuntimeDir = shortDir(t)
			c.Want = readiness.Endpoint{Network: "unix", Address: filepath.Join(c.Target.RuntimeDir, "sock")}
			return c
		}},
		{"Socket of the caller's Listener", func(t *testing.T) readinesstest.Case {
			l := listen(t, filepath.Join(shortDir(t), "sock"))
			c := notifyCase(t, readiness.Sequence{readiness.Listener{Listener: l}, readiness.NotifyFD{}})
			c.Want, c.OnePod = readiness.Endpoint{Network: "unix", Address: l.Addr().String()}, true
			return c
		}},
		{"prepared", func(t *testing.T) readinesstest.Case {
			return letterCase(t, letter{})
		}},
		{"combined and prepared", func(t *testing.T) readinesstest.Case {
			return letterCase(t, readiness.Sequence{
				readiness.All{noted{}, readiness.Timeout{Probe: letter{}, Limit: time.Hour}},
				readiness.Any{readinesstest.Never{}, noted{}},
			})
		}},
	} {
		t.Run(probe.name, func(t *testing.T) {
			if testing.Short() && !slices.Contains(few, probe.name) {
				t.Skip("skipped with -short: a few probes are tried, one of each kind")
			}
			// A process that it has just started holds, until its exec, a copy
			// of every descriptor of ours. The others count who holds their sockets.
			if probe.name != "Exec" {
				t.Parallel()
			}
			readinesstest.Test(t, probe.newCase)
		})
	}
}

// lineCase is that of a probe which waits for the ready line.
func lineCase(p readiness.Probe) readinesstest.Case {
	log := new(readinesstest.Log)
	return readinesstest.Case{
		Probe:  p,
		Target: readiness.Target{Name: "pod", WorkDir: "/srv/pod", Lines: log.Lines},
		Ready:  func(*readiness.Setup) { fmt.Fprint(log, "hello\nINSOMNIA-READY\tpod\tsock\n") },
		Fail:   func(*readiness.Setup) { fmt.Fprint(log, "INSOMNIA-READY\tpod\n") },
		Want:   readiness.Endpoint{Network: "unix", Address: inWorkDir("sock")},
	}
}

// socketCase is that of a pod which listens on a unix socket. This process is
// the pod.
func socketCase(t *testing.T, p readiness.Probe) readinesstest.Case {
	path := filepath.Join(shortDir(t), "sock")
	return readinesstest.Case{
		Probe:  p,
		Target: readiness.Target{PID: os.Getpid(), Endpoint: readiness.Endpoint{Network: "unix", Address: path}},
		Ready:  func(*readiness.Setup) { listen(t, path) },
		Fail: func(*readiness.Setup) { // a datagram socket will not become another
			conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { conn.Close() })
		},
	}
}

func tcpSocketCase(t *testing.T) readinesstest.Case {
	address, listen := tcpPort(t)
	return readinesstest.Case{
		Probe:  readiness.Socket{},
		Target: readiness.Target{Endpoint: readiness.Endpoint{Network: "tcp", Address: address}},
		Ready:  func(*readiness.Setup) { listen(often) },
	}
}

// often is a backlog with room for every connection that a rule makes.
const often = 128

// httpCase is that of a web server, which is asked at an address of its own, or
// where an earlier probe says.
func httpCase(t *testing.T, fixed bool) readinesstest.Case {
	address, listen := tcpListener(t)
	e := readiness.Endpoint{Network: "tcp", Address: address}
	c := readinesstest.Case{Probe: readiness.HTTP{URL: "/healthz"}, Target: readiness.Target{Endpoint: e}}
	if fixed {
		c.Probe, c.Want, c.OnePod = readiness.HTTP{URL: "http://" + address + "/healthz"}, e, true
		c.Target.Endpoint = readiness.Endpoint{}
	}
	c.Ready = func(*readiness.Setup) {
		l := listen()
		server := &http.Server{Handler: http.HandlerFunc(func(http.ResponseWriter, *http.Request) {})}
		go server.Serve(l)
		t.Cleanup(func() { server.Close() })
	}
	return c
}

// tcpListener is tcpPort for a net.Listener.
func tcpListener(t *testing.T) (address string, listen func() net.Listener) {
	fd, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM, 0)
	if err != nil {
		t.Fatal(err)
	}
	syscall.CloseOnExec(fd)
	f := os.NewFile(uintptr(fd), "reserved port")
	t.Cleanup(func() { f.Close() })
	if err := syscall.Bind(fd, &syscall.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}); err != nil {
		t.Fatal(err)
	}
	sa, err := syscall.Getsockname(fd)
	if err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf("127.0.0.1:%d", sa.(*syscall.SockaddrInet4).Port), func() net.Listener {
		l, err := net.FileListener(f)
		if err != nil {
			t.Fatal(err)
		}
		if err := syscall.Listen(fd, often); err != nil {
			t.Fatal(err)
		}
		return l
	}
}

// patternCase is that of a program that says twice where it serves, for which
// the port 0 is a verdict.
func patternCase(p readiness.Pattern) readinesstest.Case {
	log := new(readinesstest.Log)
	return readinesstest.Case{
		Probe:  p,
		Target: readiness.Target{Lines: log.Lines},
		Ready: func(*readiness.Setup) {
			fmt.Fprint(log, "serving on 127.0.0.1:79\nserving on 127.0.0.1:80\nup and running\n")
		},
		Fail: func(*readiness.Setup) { fmt.Fprint(log, "serving on 127.0.0.1:0\nserving on 127.0.0.1:0\n") },
		Want: readiness.Endpoint{Network: "tcp", Address: "127.0.0.1:80"},
	}
}

// notifyCase is that of a pod that writes a newline to the last of its
// descriptors.
func notifyCase(t *testing.T, p readiness.Probe) readinesstest.Case {
	return readinesstest.Case{
		Probe: p,
		Ready: func(s *readiness.Setup) {
			if _, err := s.Files[len(s.Files)-1].WriteString("\n"); err != nil {
				t.Fatal(err)
			}
		},
		Fail: func(s *readiness.Setup) { s.Files[len(s.Files)-1].Close() },
	}
}

// fileCase is that of a pod that makes a file when it is ready.
func fileCase(t *testing.T, p readiness.Probe) readinesstest.Case {
	dir := t.TempDir()
	return readinesstest.Case{
		Probe:  p,
		Target: readiness.Target{RuntimeDir: dir},
		Ready: func(*readiness.Setup) {
			tmp := filepath.Join(dir, "up.tmp")
			if err := os.WriteFile(tmp, []byte("at 127.0.0.1:80\n"), 0o600); err != nil {
				t.Fatal(err)
			}
			if err := os.Rename(tmp, filepath.Join(dir, "up")); err != nil {
				t.Fatal(err)
			}
		},
	}
}

// sequenceCase is that of the launcher's default.
func sequenceCase(t *testing.T) readinesstest.Case {
	c := socketCase(t, readiness.Sequence{readiness.ReadyLine{}, readiness.Socket{}})
	log, path := new(readinesstest.Log), c.Target.Endpoint.Address
	c.Target.Name, c.Target.Lines = "pod", log.Lines
	c.Target.Endpoint = readiness.Endpoint{Network: "unix", Address: "/not/learned/yet"}
	c.Want = readiness.Endpoint{Network: "unix", Address: path}
	c.Ready = func(*readiness.Setup) {
		listen(t, path)
		fmt.Fprintf(log, "INSOMNIA-READY\tpod\t%s\n", path)
	}
	c.Fail = func(*readiness.Setup) { fmt.Fprint(log, "INSOMNIA-READY\n") }
	return c
}

// flags are those that were made; raised says of each whether it is up or torn.
var (
	flags  atomic.Int64
	raised sync.Map
)

// pollCase is that of a check of a flag, which the Target holds in place of its
// PID.
func pollCase(s readiness.Schedule) readinesstest.Case {
	flag := int(flags.Add(1))
	return readinesstest.Case{
		Probe: readiness.Poll{What: "a flag", Schedule: s, Check: func(_ context.Context, t readiness.Target) (readiness.Endpoint, error) {
			switch v, _ := raised.Load(t.PID); v {
			case nil:
				return readiness.Endpoint{}, errors.New("it is down")
			case false:
				return readiness.Endpoint{}, readiness.Final(errors.New("it is torn"))
			}
			return readiness.Endpoint{}, nil
		}},
		Target: readiness.Target{PID: flag},
		Ready:  func(*readiness.Setup) { raised.Store(flag, true) },
		Fail:   func(*readiness.Setup) { raised.Store(flag, false) },
	}
}

// A noted probe is ready at once, and learns nothing.
type noted struct{}

func (noted) Wait(_ context.Context, t readiness.Target) (readiness.Endpoint, error) {
	return t.Endpoint, nil
}

func (noted) String() string { return "nothing" }

// A letter is a Preparer: the pod finds a number in its environment, and throws the
// switch that has this number.
type letter struct{}

// letters are the switches by their numbers.
var letters sync.Map

func (letter) Wait(context.Context, readiness.Target) (readiness.Endpoint, error) {
	return readiness.Endpoint{}, errors.New("it was not prepared")
}

func (letter) String() string { return "a letter" }

func (letter) Prepare(_ context.Context, s *readiness.Setup) (readiness.Probe, error) {
	number, sw := flags.Add(1), new(readinesstest.Switch)
	letters.Store(number, sw)
	s.Cleanup(func() { letters.Delete(number) })
	s.Env = append(s.Env, fmt.Sprintf("LETTER=%d", number))
	return sw, nil
}

func letterCase(t *testing.T, p readiness.Probe) readinesstest.Case {
	find := func(s *readiness.Setup) *readinesstest.Switch {
		for _, e := range s.Env {
			if number, ok := strings.CutPrefix(e, "LETTER="); ok {
				n, err := strconv.ParseInt(number, 10, 64)
				sw, found := letters.Load(n)
				if err != nil || !found {
					t.Fatalf("there is no letter %q: %v", e, err)
				}
				return sw.(*readinesstest.Switch)
			}
		}
		t.Fatalf("no letter in %q", s.Env)
		return nil
	}
	return readinesstest.Case{
		Probe: p,
		Ready: func(s *readiness.Setup) { find(s).Ready(readiness.Endpoint{}) },
		Fail:  func(s *readiness.Setup) { find(s).Fail(errors.New("returned to sender")) },
	}
}
