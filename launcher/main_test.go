package launcher_test

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"os"
	"testing"

	"github.com/podlaunch/podlaunch/launcher"
	"github.com/podlaunch/podlaunch/launcher/internal/fakepod"
	"github.com/podlaunch/podlaunch/runtimedir"
)

// podBinary is the fake pod.
var podBinary string

func TestMain(m *testing.M) {
	path, remove, err := fakepod.Build()
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	podBinary = path
	code := m.Run()
	remove()
	os.Exit(code)
}

// script resolves to the fake pod, which follows steps.
func script(steps ...string) launcher.CommandResolver {
	return launcher.CommandResolverFunc(func(_ context.Context, req launcher.Request) (launcher.Command, error) {
		return launcher.Command{
			Path: podBinary,
			Args: fakepod.Args(req.Spec.Name, req.RuntimeDir, steps, req.Spec.Args),
			Env:  req.Spec.Env,
		}, nil
	})
}

// ping sends a line to the pod and returns its answer.
func ping(t *testing.T, conn net.Conn) string {
	t.Helper()
	defer conn.Close()
	fmt.Fprintln(conn, "hello")
	answer, err := bufio.NewReader(conn).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	return answer
}

func TestSmoke(t *testing.T) {
	l := launcher.Launcher{Command: script("say one", "say two", "listen", "ready", "hang"), Dir: runtimedir.Dir(t.TempDir())}
	pod, err := l.Launch(t.Context(), launcher.Spec{Name: "alice", Progress: func(s string) { t.Log("progress", s) }})
	if err != nil {
		t.Fatal(err)
	}
	conn, err := pod.Dial(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Log(ping(t, conn))
	if err := pod.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Log(pod.Wait(t.Context()))
	for _, steps := range [][]string{
		{"say one", "say two \x1b[31m", "write \"three\"", "exit 3"},
		{"say x", "announce \"INSOMNIA-READY\\tbob\\t/x\\n\"", "hang"},
		{"kill 9"},
		{"say hm", "hang"},
		{"ready", "hang"},
		{"ready /etc/passwd", "hang"},
		{"ready /root/nosuch/" + fmt.Sprint(make([]int, 100)), "hang"},
	} {
		l.Command = script(steps...)
		l.Timeout = 300e6
		_, err = l.Launch(t.Context(), launcher.Spec{Name: "alice"})
		t.Log(err)
	}
}
