package readiness_test

import (
	"context"
	"fmt"
	"log"
	"net"
	"os"
	"strings"

	"github.com/podlaunch/podlaunch/readiness"
)

// NotifySocket is for a program that speaks sd_notify(3). A launcher prepares
// it, starts the pod with what the setup holds, and waits; here this very
// process plays both.
func ExampleNotifySocket() {
	dir, err := os.MkdirTemp("", "run")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)
	ctx := context.Background()
	setup := &readiness.Setup{
		Name:       "web",
		RuntimeDir: dir,
		Status:     func(line string) { fmt.Println("progress:", line) },
	}
	defer setup.Close()
	probe, err := readiness.Prepare(ctx, readiness.NotifySocket{}, setup)
	if err != nil {
		log.Fatal(err)
	}

	// The pod.
	path, _ := strings.CutPrefix(setup.Env[0], "NOTIFY_SOCKET=")
	conn, err := net.Dial("unixgram", path)
	if err != nil {
		log.Fatal(err)
	}
	defer conn.Close()
	fmt.Fprint(conn, "STATUS=loading the model")
	fmt.Fprint(conn, "READY=1\nSTATUS=serving")

	_, err = probe.Wait(ctx, readiness.Target{Name: "web", PID: os.Getpid()})
	fmt.Println(err)
	// Output:
	// progress: loading the model
	// progress: serving
	// <nil>
}
