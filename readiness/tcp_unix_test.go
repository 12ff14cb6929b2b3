//go:build unix

package readiness_test

import (
	"errors"
	"net"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/podlaunch/podlaunch/readiness"
)

// listenTCP listens on a port of the loopback until the test ends.
func listenTCP(t *testing.T) (addr string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return l.Addr().String()
}

// A port that answers is found, fixed or learned, and is the endpoint; a host
// that stands for all is dialled, and told, as the loopback.
func TestTCPAnswers(t *testing.T) {
	t.Parallel()
	addr := listenTCP(t)
	_, port, _ := net.SplitHostPort(addr)
	old := readiness.Endpoint{Network: "tcp4", Address: addr}
	for _, c := range []struct {
		p    readiness.TCP
		want string
	}{
		{readiness.TCP{}, "tcp4:" + addr},
		{readiness.TCP{Address: addr}, "tcp:" + addr},
		{readiness.TCP{Address: addr, Network: "tcp4"}, "tcp4:" + addr},
		{readiness.TCP{Address: ":" + port}, "tcp:" + addr},
		{readiness.TCP{Address: "0.0.0.0:" + port}, "tcp:" + addr},
	} {
		target := target(t, nil)
		target.Endpoint = old
		e, err := c.p.Wait(t.Context(), target)
		if err != nil || e.String() != c.want {
			t.Errorf("%+v: got %v, %v, want %s", c.p, e, err, c.want)
		}
	}
}

// A port that refuses is tried again until somebody listens, and the error of
// the last attempt is kept.
func TestTCPRetries(t *testing.T) {
	addr, listen := tcpPort(t)
	_, took, err := await(t, readiness.TCP{Address: addr}, target(t, nil))
	if e := pending(t, err, errOver); took != patience || e.Attempts < int(patience/longestDelay) || e.Waiting != "an answer on tcp:"+addr {
		t.Errorf("after %v: %v", took, err)
	}
	mustBe(t, err, syscall.ECONNREFUSED)
	synctest.Test(t, func(t *testing.T) {
		time.AfterFunc(time.Second, func() { listen(8) })
		if _, err := (readiness.TCP{Address: addr}).Wait(t.Context(), target(t, nil)); err != nil {
			t.Error(err)
		}
	})
}

// An address that swallows the attempt costs what one may take, and is tried
// again.
func TestTCPHangs(t *testing.T) {
	addr, listen := tcpPort(t)
	listen(0)
	conn, err := net.Dial("tcp", addr) // fills the queue; what comes now is not answered
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	p := readiness.TCP{Address: addr, Schedule: readiness.Schedule{Attempt: 10 * time.Millisecond}}
	attempts := make(chan error, 100)
	p.Final = func(err error) bool {
		attempts <- err
		return len(attempts) == 2
	}
	_, err = p.Wait(t.Context(), target(t, nil))
	if len(attempts) != 2 {
		t.Errorf("%d attempts, then %v", len(attempts), err)
	}
	mustSay(t, err, addr, "timeout")
}

// What makes no sense is refused, by Wait and before the launch.
func TestTCPRefused(t *testing.T) {
	for _, c := range []struct {
		p    readiness.TCP
		says string
	}{
		{readiness.TCP{Address: "127.0.0.1:0"}, "readiness.TCP.Address: it is \"127.0.0.1:0\": the port 0"},
		{readiness.TCP{Address: "127.0.0.1"}, "readiness.TCP.Address"},
		{readiness.TCP{Address: "127.0.0.1:http"}, `the port "http"`},
		{readiness.TCP{Address: "127.0.0.1:65536"}, `the port "65536"`},
		{readiness.TCP{Address: "127.0.0.1:1", Network: "unix"}, `readiness.TCP.Network: it is "unix"`},
		{readiness.TCP{Network: "tcp4"}, "readiness.TCP.Network"},
		{readiness.TCP{Schedule: readiness.Schedule{Max: -1}}, "readiness.TCP.Max"},
		{readiness.TCP{Schedule: readiness.Schedule{Successes: -1}}, "readiness.TCP.Successes"},
	} {
		_, took, err := await(t, c.p, target(t, nil))
		mustSay(t, err, c.says)
		if took != 0 || errors.Is(err, errOver) {
			t.Errorf("after %v: %v", took, err)
		}
		_, err = readiness.Prepare(t.Context(), c.p, &readiness.Setup{})
		mustSay(t, err, c.says)
	}
	_, _, err := await(t, readiness.TCP{}, target(t, nil))
	mustSay(t, err, "readiness.TCP.Address", "no probe before it")
	unix := target(t, nil)
	unix.Endpoint = address("/run/sock")
	_, _, err = await(t, readiness.TCP{}, unix)
	mustSay(t, err, "readiness.TCP.Address", "unix:/run/sock", "readiness.Socket")
}

// Somebody who answers before the pod is started would be taken for it: that
// fails the launch, unless it is allowed. A port that is free, or was learned,
// is not asked about.
func TestTCPStranger(t *testing.T) {
	taken := listenTCP(t)
	_, err := readiness.Prepare(t.Context(), readiness.TCP{Address: taken}, &readiness.Setup{})
	mustBe(t, err, readiness.ErrForeignPeer)
	mustSay(t, err, "readiness.TCP.Address", "tcp:"+taken, "readiness.TCP.Shared")
	free, _ := tcpPort(t)
	for _, p := range []readiness.TCP{{Address: taken, Shared: true}, {Address: free}, {}} {
		preparedIn(t, p, "")
	}
}
