//go:build unix

package readiness

import (
	"context"
	"os"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// A waitable is an open file in the runtime's poller.
type waitable interface {
	syscall.Conn
	SetReadDeadline(time.Time) error
}

// waitReadable calls try, which must not block, with w's descriptor until try returns
// true: now, and each time that there may be something to read. Once ctx is done it calls
// try a last time, for what was there by then counts. If try still returns false,
// waitReadable returns context.Cause(ctx).
func waitReadable(ctx context.Context, w waitable, try func(fd int) bool) error {
	raw, err := w.SyscallConn()
	if err != nil {
		return err
	}
	fired := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		w.SetReadDeadline(time.Unix(1, 0))
		close(fired)
	})
	defer func() {
		if !stop() {
			<-fired
			w.SetReadDeadline(time.Time{}) // for the next one who waits
		}
	}()
	done := false
	look := func(fd uintptr) bool {
		done = try(int(fd))
		return done
	}
	err = raw.Read(look)
	if done || ctx.Err() == nil {
		return err
	}
	if err := raw.Control(func(fd uintptr) { look(fd) }); err != nil || done {
		return err
	}
	return context.Cause(ctx)
}

// A turn belongs to one goroutine at a time.
type turn chan struct{}

// take waits for the turn. It prefers having it over noticing that ctx is done.
func (t turn) take(ctx context.Context) bool {
	select {
	case t <- struct{}{}:
		return true
	default:
	}
	select {
	case t <- struct{}{}:
		return true
	case <-ctx.Done():
		return false
	}
}

func (t turn) pass() { <-t }

// setBlocking lets reads and writes of f block, as a program expects it of what
// it inherits: the mode belongs to the open file, not to the descriptor.
func setBlocking(f *os.File) error {
	return os.NewSyscallError("fcntl", unix.SetNonblock(int(f.Fd()), false))
}
