package main

import (
	"bufio"
	"fmt"
	"net"
	"os"

	"github.com/podlaunch/podlaunch/examples/nomad"
	"github.com/podlaunch/podlaunch/readiness"
)

// workerRole is the first argument of this program when it is a pod.
const workerRole = "worker"

// work is the pod called name: it answers lines on a TCP port, which an engine
// has chosen, or else the system does. It ends by a signal.
func work(name string) int {
	fmt.Fprintln(os.Stderr, "I am", name)
	address := os.Getenv("NOMAD_ADDR_" + nomad.DefaultPort)
	if address == "" {
		address = "127.0.0.1:0"
	}
	l, err := net.Listen("tcp", address)
	if err == nil {
		err = readiness.ReadyLine{Network: "tcp"}.Announce(os.Stderr, name, l.Addr().String())
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return failed
	}
	for {
		conn, err := l.Accept()
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			return failed
		}
		go func() { // until the other side hangs up
			defer conn.Close()
			for lines := bufio.NewScanner(conn); lines.Scan(); {
				if _, err := fmt.Fprintf(conn, "I am %s, pid %d\n", name, os.Getpid()); err != nil {
					return
				}
			}
		}()
	}
}
