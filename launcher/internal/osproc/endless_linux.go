package osproc

import (
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// Endless returns a file to read from that holds nothing and has no end: a read blocks
// for as long as some process has the file open. It is a pipe, in no directory, and its
// one descriptor is both ends. So a process that gets it needs nobody who writes.
func Endless() (*os.File, error) {
	var ends [2]int
	if err := unix.Pipe2(ends[:], unix.O_CLOEXEC); err != nil {
		return nil, os.NewSyscallError("pipe2", err)
	}
	defer unix.Close(ends[0])
	defer unix.Close(ends[1])
	// Opened like a FIFO, for reading and writing (fifo(7)). Not by package os, which
	// would have it not block.
	path := fmt.Sprintf("%s/%d", descriptorDir, ends[0])
	fd, err := unix.Open(path, unix.O_RDWR|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, &os.PathError{Op: "open", Path: path, Err: err}
	}
	return os.NewFile(uintptr(fd), "pipe without an end"), nil
}
