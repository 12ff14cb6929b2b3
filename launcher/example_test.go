//go:build !windows

package launcher_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/podlaunch/podlaunch/launcher"
	"github.com/podlaunch/podlaunch/readiness"
	"github.com/podlaunch/podlaunch/runtimedir"
)

// The examples need nothing but Go: their pod is this program, started again
// with podRole as its first argument.
const podRole = "role-example-pod"

func init() {
	if len(os.Args) > 1 && os.Args[1] == podRole {
		examplePod(os.Args[len(os.Args)-2], os.Args[len(os.Args)-1])
	}
}

// examplePod is the pod called name, which greets every client that connects to socket.
func examplePod(name, socket string) {
	fmt.Fprintln(os.Stderr, "loading the model")
	if socket == "nowhere" {
		fmt.Fprintln(os.Stderr, "fatal: there is no model")
		os.Exit(3)
	}
	l, err := net.Listen("unix", socket)
	if err != nil {
		log.Fatal(err)
	}
	reload := make(chan os.Signal, 1)
	signal.Notify(reload, syscall.SIGHUP)
	go func() {
		for range reload {
			fmt.Fprintln(os.Stderr, "reading the model again")
		}
	}()
	if err := readiness.Announce(os.Stderr, name, socket); err != nil {
		log.Fatal(err)
	}
	for {
		conn, err := l.Accept()
		if err != nil {
			log.Fatal(err)
		}
		fmt.Fprintf(conn, "hello, this is %s\n", name)
		conn.Close()
	}
}

// The whole job: a pod that is this program again is launched, asked, and
// stopped.
func Example() {
	base, err := os.MkdirTemp("", "pods")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(base)
	l := launcher.Launcher{
		Command: launcher.Self{Args: []string{podRole}},
		Dir:     runtimedir.Dir(base),
		Timeout: time.Minute,
	}
	ctx := context.Background()
	pod, err := l.Launch(ctx, launcher.Spec{
		Name:     "alice",
		Overlay:  "model = \"small\"\n",
		Args:     []string{"alice", filepath.Join(base, "alice", "sock")},
		Progress: func(line string) { fmt.Println("progress:", line) },
	})
	if err != nil {
		log.Fatal(err)
	}
	conn, err := pod.Dial(ctx)
	if err != nil {
		log.Fatal(err)
	}
	hello, err := io.ReadAll(conn)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Print(string(hello))
	conn.Close()

	if err := pod.Stop(ctx); err != nil {
		log.Fatal(err)
	}
	exit, err := pod.Wait(ctx)
	fmt.Println(exit, err)
	// Output:
	// progress: loading the model
	// hello, this is alice
	// signal: terminated <nil>
}

// Exec launches a program that is not written to be a pod: with its own
// arguments, and with a probe that knows how it says that it is ready.
func ExampleExec() {
	base, err := os.MkdirTemp("", "pods")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(base)
	program, err := os.Executable() // say, "redis-server"
	if err != nil {
		log.Fatal(err)
	}
	socket := filepath.Join(base, "some.sock")
	l := launcher.Launcher{
		Command: launcher.Exec(program, podRole),
		Dir:     runtimedir.Dir(base),
		Timeout: time.Minute,
	}
	pod, err := l.Launch(context.Background(), launcher.Spec{Name: "store", Args: []string{"store", socket}})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(pod.Name(), pod.Endpoint() == readiness.Endpoint{Network: "unix", Address: socket})
	fmt.Println(pod.Stop(context.Background()))
	// Output:
	// store true
	// <nil>
}

// Self is for a tool that is its own pod: the leading argument tells the
// program that it is the pod this time.
func ExampleSelf() {
	self := launcher.Self{Args: []string{"serve"}}
	cmd, err := self.ResolveCommand(context.Background(), launcher.Request{
		Spec: launcher.Spec{Overlay: "a = 1", Args: []string{"--verbose"}},
	})
	if err != nil {
		log.Fatal(err)
	}
	program, err := os.Executable()
	fmt.Println(cmd.Path == program, err)
	fmt.Printf("%q\n", cmd.Args)
	// Output:
	// true <nil>
	// ["serve" "--overlay" "a = 1" "--verbose"]
}

// First prefers the command that a variable names, then one at a fixed place,
// and has this very program stand in where neither is there.
func ExampleFirst() {
	command := launcher.First{
		launcher.PodCommand{Env: "EXAMPLE_POD", Program: "no-such-pod"},
		launcher.Path("/opt/no-such-pod/bin/pod"),
		launcher.Self{Args: []string{"serve"}},
	}
	cmd, err := command.ResolveCommand(context.Background(), launcher.Request{})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Printf("%q\n", cmd.Args)

	_, err = command[:2].ResolveCommand(context.Background(), launcher.Request{})
	fmt.Println(errors.Is(err, exec.ErrNotFound))
	// Output:
	// ["serve" "--overlay" ""]
	// true
}

// PodCommand runs the program that a variable names, and else one on PATH.
func ExamplePodCommand() {
	os.Setenv("EXAMPLE_POD", "/bin/sh")
	defer os.Unsetenv("EXAMPLE_POD")
	command := launcher.PodCommand{Env: "EXAMPLE_POD", Program: "no-such-pod", Args: []string{"serve"}}
	cmd, err := command.ResolveCommand(context.Background(), launcher.Request{
		Spec: launcher.Spec{Name: "alice", Overlay: "a = 1"},
	})
	fmt.Println(err)
	fmt.Printf("%s %q\n", cmd.Path, cmd.Args)
	// Output:
	// <nil>
	// /bin/sh ["serve" "--overlay" "a = 1"]
}

// Path runs the pod that is at a fixed place.
func ExamplePath() {
	cmd, err := launcher.Path("/bin/sh").ResolveCommand(context.Background(), launcher.Request{
		Spec: launcher.Spec{Overlay: "a = 1"},
	})
	fmt.Println(err)
	fmt.Printf("%s %q\n", cmd.Path, cmd.Args)

	_, err = launcher.Path("/opt/no-such-pod/bin/pod").ResolveCommand(context.Background(), launcher.Request{})
	fmt.Println(errors.Is(err, exec.ErrNotFound))
	// Output:
	// <nil>
	// /bin/sh ["--overlay" "a = 1"]
	// true
}

// An overlay that holds a secret goes to the pod as a descriptor: the arguments,
// which every user of the machine can read, tell only where it is.
func ExampleLauncher_overlayTransport() {
	base, err := os.MkdirTemp("", "pods")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(base)
	l := launcher.Launcher{
		Command:          launcher.Self{Args: []string{podRole}},
		Dir:              runtimedir.Dir(base),
		Timeout:          time.Minute,
		OverlayTransport: launcher.OverlayAsDescriptor,
	}
	_, err = l.Launch(context.Background(), launcher.Spec{
		Name:    "alice",
		Overlay: "token = \"s3cret\"\n",
		Args:    []string{"alice", "nowhere"}, // it fails, and the error tells its command
	})
	var e *launcher.Error
	if errors.As(err, &e) {
		fmt.Println(e.Command.Args)
	}
	// Output:
	// [role-example-pod --overlay-file /dev/fd/21 alice nowhere]
}

// Every strategy can be replaced. This probe takes the pod's first line for the
// sign that it is up, and then waits for its socket as usual.
func ExampleLauncher_probe() {
	base, err := os.MkdirTemp("", "pods")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(base)
	firstLine := readiness.ProbeFunc(func(ctx context.Context, t readiness.Target) (readiness.Endpoint, error) {
		for line, err := range t.Lines(ctx) {
			if err != nil {
				return readiness.Endpoint{}, err
			}
			fmt.Printf("it says %q\n", line)
			break
		}
		return readiness.Endpoint{Network: "unix", Address: filepath.Join(t.RuntimeDir, "sock")}, nil
	})
	l := launcher.Launcher{
		Command: launcher.Self{Args: []string{podRole}},
		Dir:     runtimedir.Dir(base),
		Ready:   readiness.Sequence{firstLine, readiness.Socket{}},
		Timeout: time.Minute,
	}
	pod, err := l.Launch(context.Background(), launcher.Spec{
		Name: "alice",
		Args: []string{"alice", filepath.Join(base, "alice", "sock")},
	})
	if err != nil {
		log.Fatal(err)
	}
	conn, err := pod.Dial(context.Background())
	if err != nil {
		log.Fatal(err)
	}
	greeting, err := bufio.NewReader(conn).ReadString('\n')
	fmt.Printf("%q %v\n", greeting, err)
	conn.Close()
	fmt.Println(pod.Stop(context.Background()))
	// Output:
	// it says "loading the model"
	// "hello, this is alice\n" <nil>
	// <nil>
}

// What a launch fails with says why in one line, and holds the evidence in its
// fields.
func ExampleError() {
	base, err := os.MkdirTemp("", "pods")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(base)
	l := launcher.Launcher{
		Command: launcher.Self{Args: []string{podRole}},
		Dir:     runtimedir.Dir(base),
		Timeout: time.Minute,
	}
	_, err = l.Launch(context.Background(), launcher.Spec{
		Name:    "alice",
		Overlay: "token = \"s3cret\"\n",
		Args:    []string{"alice", "nowhere"},
	})
	var e *launcher.Error
	switch {
	case errors.Is(err, launcher.ErrExitedEarly) && errors.As(err, &e):
		fmt.Println("it exited:", e.Exit)
		fmt.Println("its last words:", e.Tail[len(e.Tail)-1])
		fmt.Println("all of them:", filepath.Base(e.LogPath))
		fmt.Println("its command:", e.Command.Args)
	case errors.Is(err, launcher.ErrTimeout):
		fmt.Println("too slow:", err)
	default:
		fmt.Println(err)
	}
	// Output:
	// it exited: exit status 3
	// its last words: fatal: there is no model
	// all of them: stderr.log
	// its command: [role-example-pod --overlay <overlay: 17 bytes> alice nowhere]
}

// LogTo keeps the level that a line has, no matter which program has written it.
func ExampleLogTo() {
	logger := hclog.New(&hclog.LoggerOptions{Name: "alice", Output: os.Stdout, DisableTime: true})
	spec := launcher.Spec{Name: "alice", Progress: launcher.LogTo(logger, hclog.Info)}

	// These are lines of a pod.
	spec.Progress(`{"@level":"warn","@message":"slow disk","took":1.5}`)
	spec.Progress(`[ERROR] store: disk is full: path=/var`)
	spec.Progress(`<3>out of memory`)
	spec.Progress(`level=WARN msg="retrying" attempt=2`)
	spec.Progress(`loading the model`)
	// Output:
	// [WARN]  alice: slow disk: took=1.5
	// [ERROR] alice: store: disk is full: path=/var
	// [ERROR] alice: out of memory
	// [WARN]  alice: retrying: attempt=2
	// [INFO]  alice: loading the model
}
