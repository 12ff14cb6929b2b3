package nomad_test

import (
	"context"
	"errors"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/podlaunch/podlaunch/examples/nomad"
	"github.com/podlaunch/podlaunch/examples/nomad/internal/fakeengine"
	"github.com/podlaunch/podlaunch/examples/nomad/internal/loopback"
	"github.com/podlaunch/podlaunch/launcher"
	"github.com/podlaunch/podlaunch/launcher/launchertest"
	"github.com/podlaunch/podlaunch/readiness"
	"github.com/podlaunch/podlaunch/runtimedir"
)

func TestMain(m *testing.M) {
	launchertest.PlayPod()
	goleak.VerifyTestMain(m)
}

// engine is the Engine at url, with connections that are closed with the test.
func engine(t *testing.T, url string) nomad.Engine {
	transport := &http.Transport{MaxIdleConnsPerHost: 64}
	t.Cleanup(transport.CloseIdleConnections)
	return nomad.Engine{Address: url, Client: &http.Client{Transport: transport}}
}

// newLauncher returns a launcher of pods on e. They announce an address, or answer at the
// address that e gives them.
func newLauncher(t *testing.T, e nomad.Engine) *launcher.Launcher {
	return &launcher.Launcher{
		Command: launcher.Exec("/bin/sh"), // on the fake it does not matter
		Dir:     runtimedir.Dir(t.TempDir()),
		Log:     nomad.Log{Engine: e},
		Ready: readiness.Any{
			readiness.Sequence{readiness.ReadyLine{Network: "tcp"}, readiness.TCP{}},
			nomad.Address{},
		},
		Starter: nomad.Starter{Engine: e},
		Timeout: time.Minute, // a guard
	}
}

// onlyLine is the probe of pods that have to announce where they are.
var onlyLine = readiness.Sequence{readiness.ReadyLine{Network: "tcp"}, readiness.TCP{}}

// failed launches a pod that must not become ready, and makes sure that nothing
// of it is left.
func failed(t *testing.T, ctx context.Context, l *launcher.Launcher, e *fakeengine.Engine, spec launcher.Spec) *launcher.Error {
	t.Helper()
	if spec.Name == "" {
		spec.Name = "web"
	}
	pod, err := l.Launch(ctx, spec)
	if err == nil {
		pod.Stop(context.Background())
		t.Fatalf("it was launched, at %v", pod.Endpoint())
	}
	t.Log(err)
	var failure *launcher.Error
	if !errors.As(err, &failure) {
		t.Fatalf("it is a %T: %v", err, err)
	}
	if failure.Leftover != nil {
		t.Errorf("left over: %v", failure.Leftover)
	}
	nothingLeft(t, e)
	return failure
}

// nothingLeft makes sure that e has no job, and that nobody asks for anything.
func nothingLeft(t *testing.T, e *fakeengine.Engine) {
	t.Helper()
	if jobs := e.Jobs(); len(jobs) > 0 {
		t.Errorf("the engine still has the jobs %q", jobs)
	}
	for _, task := range e.Tasks() {
		select {
		case <-task.Done:
		default:
			t.Errorf("the program of %s still runs", task.Job)
		}
	}
	e.Await(func() bool { return e.Streams() == 0 })
}

func mustBe(t *testing.T, err *launcher.Error, stage launcher.Stage, reason error) {
	t.Helper()
	if err.Stage != stage || !errors.Is(err, reason) {
		t.Errorf("stage %s, %v; want stage %s, %v", err.Stage, err, stage, reason)
	}
}

func mustSay(t *testing.T, err error, parts ...string) {
	t.Helper()
	for _, part := range parts {
		if !strings.Contains(err.Error(), part) {
			t.Errorf("%q is not in %v", part, err)
		}
	}
}

// server listens, and answers until it is closed with the test; it plays what
// pods listen on.
func server(t *testing.T) string {
	address := freeAddress(t)
	listen(t, address)
	return address
}

// freeAddress returns one on which nobody listens.
func freeAddress(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", net.JoinHostPort(loopback.Address(), "0"))
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// listen accepts connections on address until the test ends.
func listen(t *testing.T, address string) {
	l, err := net.Listen("tcp", address)
	if err != nil {
		t.Error(err)
		return
	}
	ended := make(chan struct{})
	t.Cleanup(func() {
		l.Close()
		<-ended
	})
	go func() { // until l is closed
		defer close(ended)
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			conn.Close()
		}
	}()
}
