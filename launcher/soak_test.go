//go:build linux

package launcher_test

import "flag"

// soak makes the tests that move much data move all that the fault catalogue
// asks for. Without it they do the same with less.
var soak = flag.Bool("soak", false, "run the soaks at full size")
