//go:build unix

package readiness_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/podlaunch/podlaunch/readiness"
	"github.com/podlaunch/podlaunch/readiness/readinesstest"
)

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
			if !strings.HasPrefix(probe.name, "Socket") {
				t.Parallel() // it has no descriptors to count
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
		Want:   readiness.Endpoint{Network: "unix", Address: "/srv/pod/sock"},
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

// A letter is a Preparer: the pod finds a number in its environment, and
// whoever knows it throws the switch.
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
