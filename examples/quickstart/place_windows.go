package main

import (
	"io"
	"net"

	"github.com/podlaunch/podlaunch/readiness"
)

// line is the ready line, with an address of TCP: not every Windows has unix sockets.
var line = readiness.ReadyLine{Network: "tcp"}

// ready is the Launcher's: it waits for the ready line, and then for who listens there.
var ready readiness.Probe = readiness.Sequence{line, readiness.TCP{}}

// checkPlace makes sure that the pod can listen.
func checkPlace(string) error { return nil }

// listen listens on a port that is free.
func listen(string) (net.Listener, error) { return net.Listen("tcp", "127.0.0.1:0") }

// announce writes the ready line of the pod called name, which listens on l.
func announce(w io.Writer, name string, l net.Listener) error {
	return line.Announce(w, name, l.Addr().String())
}
