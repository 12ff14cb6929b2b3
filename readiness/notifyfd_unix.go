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
	if err := n.check(); err != nil {
		return nil, err
	}
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

// A notifiedFD is the NotifyFD of one launch. What is below turn belongs to who has
// the turn.
type notifiedFD struct {
	NotifyFD
	r    *os.File
	turn turn

	ready   bool
	line    []byte // as much as is kept of what has come of a line, for Match
	matched []byte // the line that counts
}

// Wait implements [Probe]. The error is a [*PendingError] once ctx is done.
func (n *notifiedFD) Wait(ctx context.Context, t Target) (Endpoint, error) {
	if !n.turn.take(ctx) {
		return Endpoint{}, n.pending(ctx)
	}
	defer n.turn.pass()
	found := floods
	for !n.ready && found == floods {
		var readErr error
		err := waitReadable(ctx, n.r, func(fd int) bool {
			found, readErr = n.look(fd)
			return found != nothing || readErr != nil
		})
		switch {
		case n.ready:
		case ctx.Err() != nil:
			return Endpoint{}, n.pending(ctx)
		case err != nil || readErr != nil:
			return Endpoint{}, fmt.Errorf("read %v: %w", n, errors.Join(err, readErr))
		}
	}
	if n.ready {
		return n.learn(t)
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
	e := &PendingError{Waiting: n.String(), Cause: context.Cause(ctx)}
	if len(n.line) > 0 {
		e.Notes = []string{"there is " + quoted(n.line) + ", without a newline"}
	}
	return e
}

// learn returns what the line that counts gives.
func (n *notifiedFD) learn(t Target) (Endpoint, error) {
	if n.Match == nil {
		return t.Endpoint, nil
	}
	return n.matching().learn(t, n.matched, n.Match.FindSubmatchIndex(n.matched))
}

// What look finds.
type finding int

const (
	nothing finding = iota // to read now
	newline
	floods // so much that it is to be looked at again
	closed // and so nothing will ever come
)

// look reads what is there to be read now.
func (n *notifiedFD) look(fd int) (finding, error) {
	const most = 1 << 20
	var buf [4 << 10]byte
	for read := 0; read < most; {
		count, err := unix.Read(fd, buf[:])
		switch {
		case errors.Is(err, unix.EINTR):
			continue
		case errors.Is(err, unix.EAGAIN):
			return nothing, nil
		case err != nil:
			return nothing, os.NewSyscallError("read", err)
		case count == 0 && len(n.line) > 0 && n.take([]byte{'\n'}):
			return newline, nil
		case count == 0:
			return closed, nil
		case n.take(buf[:count]):
			return newline, nil
		}
		read += count
	}
	return floods, nil
}

// take takes what was read, and reports whether the pod is ready by it.
func (n *notifiedFD) take(data []byte) bool {
	const most = 64 << 10
	for !n.ready {
		line, rest, complete := bytes.Cut(data, []byte{'\n'})
		if n.Match != nil {
			n.line = append(n.line, line[:min(len(line), most-len(n.line))]...)
		}
		switch {
		case !complete:
			return false
		case n.Match == nil || n.Match.Match(n.line):
			n.ready, n.matched = true, n.line
		}
		n.line, data = n.line[:0], rest
	}
	return true
}
