//go:build !unix && !windows

package launcher

import "syscall"

// dropOwnGroup does nothing: there are no groups here.
func dropOwnGroup(*syscall.SysProcAttr) {}
