//go:build unix

package readiness

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// Prepare implements [Preparer]: it makes the pipe.
func (n NotifyFD) Prepare(_ context.Context, s *Setup) (Probe, error) {
	r, w, err := os.Pipe()
	if err != nil {
		return nil, fmt.Errorf("readiness.NotifyFD: %w", err)
	}
	s.Cleanup(func() { r.Close() })
	if err := setBlocking(w); err != nil {
		w.Close()
		return nil, fmt.Errorf("readiness.NotifyFD: %w", err)
	}
	if n.FD == 0 {
		n.FD, err = s.AddFile(w)
	} else {
		err = s.AddFileAt(n.FD, w)
	}
	if err != nil {
		return nil, fmt.Errorf("readiness.NotifyFD.FD: %w", err)
	}
	return &notifiedFD{NotifyFD: n, r: r, turn: make(turn, 1)}, nil
}

// A notifiedFD is the NotifyFD of one launch.
type notifiedFD struct {
	NotifyFD
	r     *os.File
	turn  turn
	ready bool // belongs to who has the turn
}

// Wait implements [Probe]. The error is a [*PendingError] once ctx is done.
func (n *notifiedFD) Wait(ctx context.Context, t Target) (Endpoint, error) {
	if !n.turn.take(ctx) {
		return Endpoint{}, n.pending(ctx)
	}
	defer n.turn.pass()
	if n.ready {
		return t.Endpoint, nil
	}
	found := floods
	for found == floods {
		var readErr error
		err := waitReadable(ctx, n.r, func(fd int) bool {
			found, readErr = lookForNewline(fd)
			return found != nothing || readErr != nil
		})
		switch {
		case found == newline:
			n.ready = true
			return t.Endpoint, nil
		case ctx.Err() != nil:
			return Endpoint{}, n.pending(ctx)
		case err != nil || readErr != nil:
			return Endpoint{}, fmt.Errorf("read %v: %w", n, errors.Join(err, readErr))
		}
	}
	// It was closed; perhaps because the pod exits.
	timer := time.NewTimer(exitPatience)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return Endpoint{}, n.pending(ctx)
	case <-timer.C:
		return Endpoint{}, fmt.Errorf("%w (descriptor %d)", ErrNotifyFDClosed, n.FD)
	}
}

func (n *notifiedFD) pending(ctx context.Context) error {
	return &PendingError{Waiting: n.String(), Cause: context.Cause(ctx)}
}

// What lookForNewline finds.
type finding int

const (
	nothing finding = iota // to read now
	newline
	floods // so much that it is to be looked at again
	closed // and so nothing will ever come
)

// lookForNewline reads what is there to be read now.
func lookForNewline(fd int) (finding, error) {
	const most = 1 << 20
	var buf [4 << 10]byte
	for read := 0; read < most; {
		n, err := unix.Read(fd, buf[:])
		switch {
		case errors.Is(err, unix.EINTR):
			continue
		case errors.Is(err, unix.EAGAIN):
			return nothing, nil
		case err != nil:
			return nothing, os.NewSyscallError("read", err)
		case n == 0:
			return closed, nil
		case bytes.IndexByte(buf[:n], '\n') >= 0:
			return newline, nil
		}
		read += n
	}
	return floods, nil
}
