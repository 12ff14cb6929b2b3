package runtimedirtest

import (
	"os"
	"runtime"
	"syscall"

	"github.com/podlaunch/podlaunch/runtimedir/conformance"
)

// elsewhere calls f with dir as the working directory, in a thread of its own: the working
// directory of the process is not for a rule to change. Where a thread may have none of
// its own, f is not called.
func elsewhere(dir string, f func() error) error {
	return conformance.AtOnce("the Resolver", 1, func(int) error {
		runtime.LockOSThread() // without an end, so the thread ends with this goroutine
		if syscall.Unshare(syscall.CLONE_FS) != nil {
			return nil
		}
		if err := os.Chdir(dir); err != nil {
			return err
		}
		return f()
	})
}
