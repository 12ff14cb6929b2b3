//go:build unix

package readiness_test

import (
	"context"
	"fmt"
	"log"
	"net"
	"os"
	"path/filepath"

	"github.com/podlaunch/podlaunch/readiness"
)

// NotifyFD is for a program that says with a newline on a descriptor that it is
// ready: in shell, echo >&3. Here this very process plays the pod.
func ExampleNotifyFD() {
	ctx := context.Background()
	setup := &readiness.Setup{Name: "web"}
	defer setup.Close()
	probe, err := readiness.Prepare(ctx, readiness.NotifyFD{}, setup)
	if err != nil {
		log.Fatal(err)
	}
	defer setup.CloseFiles()
	fmt.Fprintln(setup.Files[0]) // descriptor 3 in the pod

	_, err = probe.Wait(ctx, readiness.Target{Name: "web"})
	fmt.Println(probe, err)
	// Output: a newline on descriptor 3 <nil>
}

// Listener makes the socket before there is a pod. A client that connects meanwhile
// waits in the kernel for the pod, which here this very process plays.
func ExampleListener() {
	dir, err := os.MkdirTemp("", "run")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)
	ctx := context.Background()
	setup := &readiness.Setup{Name: "web", RuntimeDir: dir}
	defer setup.Close()
	probe, err := readiness.Prepare(ctx, readiness.Listener{}, setup)
	if err != nil {
		log.Fatal(err)
	}
	defer setup.CloseFiles()
	e, err := probe.Wait(ctx, readiness.Target{Name: "web"})
	fmt.Println(e.Network, filepath.Base(e.Address), err)
	client, err := net.Dial(e.Network, e.Address)
	if err != nil {
		log.Fatal(err)
	}
	defer client.Close()

	// The pod.
	fmt.Println(setup.Env, setup.PIDEnv)
	pod, err := net.FileListener(setup.Files[0]) // descriptor 3 in the pod
	if err != nil {
		log.Fatal(err)
	}
	defer pod.Close()
	conn, err := pod.Accept()
	fmt.Println(conn != nil, err)
	conn.Close()
	// Output:
	// unix sock <nil>
	// [LISTEN_FDS=1 LISTEN_FDNAMES=sock] [LISTEN_PID]
	// true <nil>
}
