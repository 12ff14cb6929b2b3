//go:build unix

package launcher

import "syscall"

// dropOwnGroup takes the wish for a group of its own out of attr: a pod has one.
func dropOwnGroup(attr *syscall.SysProcAttr) {
	if attr.Pgid == 0 {
		attr.Setpgid = false
	}
}
