package runtimedir

import "golang.org/x/sys/unix"

// hasNoLinks reports whether the path exists and no element of it is a symbolic link. False
// also says that the kernel does not tell: openat2(2) came with Linux 5.6, and some
// sandboxes refuse it. path is absolute, and as [filepath.Clean] returns it.
//
// The kernel walks the path once, and looks at no element by itself; O_PATH opens nothing
// and mounts nothing.
func hasNoLinks(path string) bool {
	how := unix.OpenHow{Flags: unix.O_PATH | unix.O_CLOEXEC, Resolve: unix.RESOLVE_NO_SYMLINKS}
	fd, err := unix.Openat2(unix.AT_FDCWD, path, &how)
	if err != nil {
		return false
	}
	unix.Close(fd)
	return true
}
