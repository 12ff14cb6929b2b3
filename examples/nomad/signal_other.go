//go:build !unix

package nomad

import "syscall"

// signalName is what the engine calls sig. There is no launch here, and nobody
// sends any other.
func signalName(sig syscall.Signal) string {
	switch sig {
	case syscall.SIGTERM:
		return "SIGTERM"
	case syscall.SIGKILL:
		return "SIGKILL"
	}
	return ""
}
