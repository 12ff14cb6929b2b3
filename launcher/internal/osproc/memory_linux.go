package osproc

import (
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// MemoryFile returns a file that is in no directory, holds text, and can never be
// changed; its offset is 0. The kernel shows it as name, and so do errors. The error
// wraps [errors.ErrUnsupported] where the kernel has no such files, or a filter of
// system calls forbids them.
func MemoryFile(name, text string) (*os.File, error) {
	const flags = unix.MFD_CLOEXEC | unix.MFD_ALLOW_SEALING
	fd, err := unix.MemfdCreate(name, flags|unix.MFD_NOEXEC_SEAL)
	if errors.Is(err, unix.EINVAL) { // before Linux 6.3
		fd, err = unix.MemfdCreate(name, flags)
	}
	if errors.Is(err, unix.ENOSYS) || errors.Is(err, unix.EPERM) || errors.Is(err, unix.EACCES) {
		return nil, fmt.Errorf("%w: %w", errors.ErrUnsupported, os.NewSyscallError("memfd_create", err))
	}
	if err != nil {
		return nil, os.NewSyscallError("memfd_create", err)
	}
	f := os.NewFile(uintptr(fd), name)
	// At 0, so that a process which reads the descriptor itself is at the beginning.
	if _, err = f.WriteAt([]byte(text), 0); err == nil {
		const seals = unix.F_SEAL_WRITE | unix.F_SEAL_GROW | unix.F_SEAL_SHRINK | unix.F_SEAL_SEAL
		_, err = unix.FcntlInt(uintptr(fd), unix.F_ADD_SEALS, seals)
	}
	if err != nil {
		f.Close()
		return nil, fmt.Errorf("write the %s, %d bytes, into memory: %w", name, len(text), err)
	}
	return f, nil
}
