// Package loopback has addresses of this machine for tests. A test can give up a port of
// such an address and take it again a moment later, or keep it free, and no other test
// takes it in the meantime.
package loopback

import (
	"fmt"
	"os"
	"runtime"
	"sync/atomic"
)

// Address returns an address that no other process uses at the same time: on Linux all
// of 127.0.0.0/8 is this machine's. Elsewhere it is 127.0.0.1.
func Address() string {
	if runtime.GOOS != "linux" {
		return "127.0.0.1"
	}
	pid := os.Getpid()
	return fmt.Sprintf("127.%d.%d.%d", 1+given.Add(1)%250, 1+pid>>8%250, 1+pid%250)
}

// given counts the addresses.
var given atomic.Int32
