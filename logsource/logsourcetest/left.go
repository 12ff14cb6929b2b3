package logsourcetest

import (
	"fmt"
	"os"
	"runtime"
	"runtime/debug"
	"time"
)

// often is how many times something is done that must leave nothing behind.
// Whatever else goes on in the test's process may open and start things too,
// but hardly half as many.
const often = 64

// leaves does something often and makes sure that it leaves no descriptor and
// no goroutine behind.
func leaves(do func() error) error {
	// A descriptor that nobody closes is closed when its File is collected.
	defer debug.SetGCPercent(debug.SetGCPercent(-1))
	descriptors, goroutines := openDescriptors(), runtime.NumGoroutine()
	for range often {
		if err := do(); err != nil {
			return err
		}
	}
	for end := time.Now().Add(soon); ; time.Sleep(10 * time.Millisecond) {
		d, g := openDescriptors()-descriptors, runtime.NumGoroutine()-goroutines
		if d < often/2 && g < often/2 {
			return nil
		}
		if time.Now().After(end) {
			return fmt.Errorf("after %d times there are %d descriptors and %d goroutines more", often, d, g)
		}
	}
}

// openDescriptors counts this process's, where the system can tell; else it
// returns 0.
func openDescriptors() int {
	entries, err := os.ReadDir("/dev/fd")
	if err != nil {
		return 0
	}
	return len(entries)
}
