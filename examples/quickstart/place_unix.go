//go:build !windows

package main

import (
	"io"
	"net"
	"os"
	"path/filepath"

	"github.com/podlaunch/podlaunch/readiness"
	"github.com/podlaunch/podlaunch/runtimedir"
)

// ready is the Launcher's: the default, which waits for the ready line, and then for the
// socket.
var ready readiness.Probe

// checkPlace makes sure that the pod can listen in dir.
func checkPlace(dir string) error { return runtimedir.CheckSocketPath(filepath.Join(dir, "sock")) }

// listen listens on the pod's socket in dir. To close it removes the socket.
func listen(dir string) (net.Listener, error) {
	socket := filepath.Join(dir, "sock")
	os.Remove(socket) // of an earlier pod that had no chance to
	return net.Listen("unix", socket)
}

// announce writes the ready line of the pod called name, which listens on l.
func announce(w io.Writer, name string, l net.Listener) error {
	return readiness.Announce(w, name, l.Addr().String())
}
