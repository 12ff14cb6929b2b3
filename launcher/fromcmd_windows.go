package launcher

import "syscall"

// dropOwnGroup takes the wish for a group of its own out of attr: a pod has a console of its
// own, to which CTRL_C is sent, and in a group of its own it would not get that.
func dropOwnGroup(attr *syscall.SysProcAttr) {
	attr.CreationFlags &^= syscall.CREATE_NEW_PROCESS_GROUP
}
