package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"

	"golang.org/x/sys/unix"
)

// waitGone waits until no process has dir in its arguments. Some daemons have
// helpers in sessions of their own, which no signal to the group reaches: the
// crash handlers of Chromium go a moment after the browser, by themselves.
func waitGone(ctx context.Context, dir string) error {
	for {
		pid, err := mentions(dir)
		if pid == 0 || err != nil {
			return err
		}
		if err := waitExit(ctx, pid); err != nil {
			if ctx.Err() != nil {
				err = fmt.Errorf("still there after %v", patience)
			}
			args, _ := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid)) // it may just have gone
			return fmt.Errorf("process %d was left behind (%q): %w", pid, bytes.ReplaceAll(args, []byte{0}, []byte{' '}), err)
		}
	}
}

// mentions returns a process that has dir in its arguments, or 0. A zombie has
// none.
func mentions(dir string) (pid int, err error) {
	files, err := filepath.Glob("/proc/[0-9]*/cmdline")
	if err != nil {
		return 0, err
	}
	for _, file := range files {
		args, _ := os.ReadFile(file) // it may have gone
		if bytes.Contains(args, []byte(dir)) {
			return strconv.Atoi(filepath.Base(filepath.Dir(file)))
		}
	}
	return 0, nil
}

// waitExit waits until a process has ended that need not be a child of ours.
func waitExit(ctx context.Context, pid int) error {
	fd, err := unix.PidfdOpen(pid, unix.PIDFD_NONBLOCK)
	if errors.Is(err, unix.ESRCH) {
		return nil
	}
	if err != nil {
		return os.NewSyscallError("pidfd_open", err)
	}
	f := os.NewFile(uintptr(fd), "pidfd")
	defer f.Close()
	stop := context.AfterFunc(ctx, func() { f.Close() })
	defer stop()
	raw, err := f.SyscallConn()
	if err != nil {
		return err
	}
	// The runtime's poller wakes us when the descriptor is readable, and it is
	// once the process has ended.
	return raw.Read(func(fd uintptr) bool {
		n, err := unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}, 0)
		return n > 0 || err != nil && !errors.Is(err, unix.EINTR)
	})
}
