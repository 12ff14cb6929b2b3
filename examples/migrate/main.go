// Command migrate starts a server, talks to it, and ends it: once with os/exec, as many
// programs do (withexec.go), and once with podlaunch (withpodlaunch.go).
//
//	go run ./examples/migrate [well|fails|hangs|deaf|forks]
//
// The test beside it runs both in all of these situations, and has a table of the
// results. os/exec does not notice that the server has exited, does not say why, does not
// let it clean up, and leaves the server's children behind.
package main

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"os"
	"time"
)

// How long the server may take until it answers, and how long until it ends.
const (
	patience = time.Second
	grace    = 200 * time.Millisecond
)

func main() {
	if len(os.Args) == 4 && os.Args[1] == "serve" { // this is the server
		serve(os.Args[2], os.Args[3])
	}
	situation := "well"
	if len(os.Args) > 1 {
		situation = os.Args[1]
	}
	for _, with := range []struct {
		name string
		run  func(ctx context.Context, situation string) (ended string, err error)
	}{{"os/exec", withExec}, {"podlaunch", withPodlaunch}} {
		began := time.Now()
		ended, err := with.run(context.Background(), situation)
		if err != nil {
			ended = "error: " + err.Error()
		}
		fmt.Printf("%-9s  after %v: %s\n", with.name, time.Since(began).Round(100*time.Microsecond), ended)
	}
}

// ping is the program's use of the server.
func ping(conn net.Conn) error {
	defer conn.Close()
	fmt.Fprintln(conn, "ping")
	answer, err := bufio.NewReader(conn).ReadString('\n')
	if err == nil && answer != "pong\n" {
		err = fmt.Errorf("the server answered %q", answer)
	}
	return err
}
