//go:build unix

package readiness_test

import (
	"context"
	"fmt"
	"log"
	"net"
	"os"
	"path/filepath"
	"strings"

	"github.com/podlaunch/podlaunch/readiness"
)

// Socket dials what an earlier probe learned, and makes sure who answers. Here
// this very process plays the pod.
func ExampleSocket() {
	dir, err := os.MkdirTemp("", "run")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)
	pod, err := net.Listen("unix", filepath.Join(dir, "sock"))
	if err != nil {
		log.Fatal(err)
	}
	defer pod.Close()

	target := readiness.Target{
		Name:     "web",
		PID:      os.Getpid(),
		Endpoint: readiness.Endpoint{Network: "unix", Address: pod.Addr().String()},
	}
	e, err := readiness.Socket{}.Wait(context.Background(), target)
	fmt.Println(e == target.Endpoint, err)

	// Nobody listens here, and it will never be a socket.
	target.Endpoint.Address = strings.Repeat("long/", 50)
	_, err = readiness.Socket{}.Wait(context.Background(), target)
	fmt.Println(err != nil)
	// Output:
	// true <nil>
	// true
}

// The default of package launcher: the line, then the socket that it names.
func ExampleSequence() {
	dir, err := os.MkdirTemp("", "run")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)
	pod, err := net.Listen("unix", filepath.Join(dir, "sock"))
	if err != nil {
		log.Fatal(err)
	}
	defer pod.Close()

	probe := readiness.Sequence{readiness.ReadyLine{}, readiness.Socket{}}
	e, err := probe.Wait(context.Background(), readiness.Target{
		Name:    "web",
		WorkDir: dir, // the line's path is relative
		PID:     os.Getpid(),
		Lines:   written("INSOMNIA-READY\tweb\tsock"),
	})
	fmt.Println(probe)
	fmt.Println(e.Network, filepath.Base(e.Address), err)
	// Output:
	// the ready line "INSOMNIA-READY", then an answer on the socket
	// unix sock <nil>
}

// A socket at a path that is known beforehand, and no line.
func ExampleUnix() {
	dir, err := os.MkdirTemp("", "run")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)
	pod, err := net.Listen("unix", filepath.Join(dir, "web.sock"))
	if err != nil {
		log.Fatal(err)
	}
	defer pod.Close()

	e, err := readiness.Unix{Path: "web.sock"}.Wait(context.Background(), readiness.Target{Name: "web", RuntimeDir: dir, PID: os.Getpid()})
	fmt.Println(e.Network, filepath.Base(e.Address), err)
	// Output: unix web.sock <nil>
}

// Exec waits for anything that a command can find out.
func ExampleExec() {
	probe := readiness.Exec{Path: "sh", Args: []string{"-c", `echo "asking $POD_ADDRESS"; test "$POD_NAME" = web`}}
	target := readiness.Target{Name: "web", WorkDir: "/", Endpoint: readiness.Endpoint{Network: "tcp", Address: "127.0.0.1:80"}}
	fmt.Println(probe.Wait(context.Background(), target))

	// Without this the probe would try again after a failure, until the launch ends.
	probe.Final = func(error) bool { return true }
	target.Name = "db"
	_, err := probe.Wait(context.Background(), target)
	fmt.Println(err)
	// Output:
	// tcp:127.0.0.1:80 <nil>
	// exit status 1: "asking 127.0.0.1:80"
}
