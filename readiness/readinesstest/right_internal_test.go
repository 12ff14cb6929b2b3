package readinesstest

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"testing"
	"time"

	"github.com/podlaunch/podlaunch/readiness"
)

// joined reads the log in a goroutine, and waits for that one.
func joined(l line, ctx context.Context, t readiness.Target) (readiness.Endpoint, error) {
	type result struct {
		readiness.Endpoint
		error
	}
	found := make(chan result)
	go func() {
		e, err := l.right(ctx, t)
		found <- result{e, err}
	}()
	r := <-found
	return r.Endpoint, r.error
}

// hasty does that too, and does not care for what the goroutine has found when ctx is
// done.
func hasty(l line, ctx context.Context, t readiness.Target) (readiness.Endpoint, error) {
	if t.Lines == nil {
		return l.right(ctx, t)
	}
	reading, stop := context.WithCancelCause(ctx)
	ended, lines, failed := make(chan struct{}), make(chan []byte), make(chan error, 1)
	defer func() { stop(errors.New("nobody reads on")); <-ended }()
	go func() {
		defer close(ended)
		for line, err := range t.Lines(reading) {
			if err != nil {
				failed <- err
				return
			}
			select {
			case lines <- bytes.Clone(line):
			case <-reading.Done():
				return
			}
		}
	}()
	for {
		select {
		case line := <-lines:
			if address, ok := address(line); ok {
				return at(address), nil
			}
			if reason, ok := bytes.CutPrefix(line, []byte("broken ")); ok {
				return readiness.Endpoint{}, fmt.Errorf("%w: %s", errBroken, reason)
			}
		case err := <-failed:
			if ctx.Err() == nil {
				return readiness.Endpoint{}, fmt.Errorf("read the log: %w", err)
			}
			return readiness.Endpoint{}, l.pending(ctx)
		case <-ctx.Done():
			return readiness.Endpoint{}, l.pending(ctx)
		}
	}
}

func (l line) pending(ctx context.Context) error {
	return &readiness.PendingError{Waiting: l.String(), Cause: context.Cause(ctx)}
}

// A pair waits for two lines, in any order.
type pair struct{ line }

func (p pair) Wait(ctx context.Context, t readiness.Target) (readiness.Endpoint, error) {
	if t.Lines == nil {
		return p.right(ctx, t)
	}
	one, two := false, false
	for line, err := range t.Lines(ctx) {
		switch {
		case err != nil && ctx.Err() != nil:
			return readiness.Endpoint{}, p.pending(ctx)
		case err != nil:
			return readiness.Endpoint{}, fmt.Errorf("read the log: %w", err)
		case bytes.Equal(line, []byte("broken")):
			return readiness.Endpoint{}, errBroken
		}
		one = one || bytes.Equal(line, []byte("one"))
		two = two || bytes.Equal(line, []byte("two"))
		if one && two {
			return at("/run/sock"), nil
		}
	}
	<-ctx.Done()
	return readiness.Endpoint{}, p.pending(ctx)
}

func (pair) String() string { return "two lines" }

func pairCase(t *testing.T) Case {
	log := new(Log)
	c := caseOf(func(l line) readiness.Probe { return pair{l} })(t)
	c.Target.Lines = log.Lines
	c.Ready = func(*readiness.Setup) { io.WriteString(log, "two\nmore\none\n") }
	c.Fail = func(*readiness.Setup) { io.WriteString(log, "one\nbroken\n") }
	return c
}

// A ticker looks at a file again and again.
type ticker struct{}

func (ticker) String() string { return "the file up" }

func (f ticker) Wait(ctx context.Context, t readiness.Target) (readiness.Endpoint, error) {
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for {
		_, err := os.Stat(filepath.Join(t.RuntimeDir, "up"))
		if err == nil && filepath.IsAbs(t.RuntimeDir) && t.Endpoint != (readiness.Endpoint{}) {
			return t.Endpoint, nil
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return readiness.Endpoint{}, &readiness.PendingError{Waiting: f.String(), Cause: context.Cause(ctx)}
		}
	}
}

func tickerCase(t *testing.T) Case {
	dir := t.TempDir()
	return Case{
		Probe:  ticker{},
		Target: readiness.Target{RuntimeDir: dir},
		Ready: func(*readiness.Setup) {
			if err := os.WriteFile(filepath.Join(dir, "up"), nil, 0o600); err != nil {
				t.Error(err)
			}
		},
	}
}

// An asking probe connects to the pod, which says that it is up.
type asking struct {
	endless bool // it waits for the answer and minds nothing else
}

func (asking) String() string { return "an answer" }

func (a asking) Wait(ctx context.Context, t readiness.Target) (readiness.Endpoint, error) {
	for {
		if err := a.ask(ctx, t.Endpoint); err == nil {
			return t.Endpoint, nil
		}
		select {
		case <-time.After(time.Millisecond):
		case <-ctx.Done():
			return readiness.Endpoint{}, &readiness.PendingError{Waiting: a.String(), Cause: context.Cause(ctx)}
		}
	}
}

func (a asking) ask(ctx context.Context, e readiness.Endpoint) error {
	var d net.Dialer
	conn, err := d.DialContext(ctx, e.Network, e.Address)
	if err != nil {
		return err
	}
	defer conn.Close()
	if !a.endless {
		woken := make(chan struct{})
		stop := context.AfterFunc(ctx, func() { conn.SetDeadline(time.Unix(1, 0)); close(woken) })
		defer func() {
			if !stop() {
				<-woken
			}
		}()
	}
	_, err = bufio.NewReader(conn).ReadString('\n')
	return err
}

func askCase(a asking) func(t *testing.T) Case {
	return func(t *testing.T) Case {
		dir, err := os.MkdirTemp("", "ask") // short, for sockets
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { os.RemoveAll(dir) })
		e := at(filepath.Join(dir, "sock"))
		if runtime.GOOS == "windows" { // Wine 8 has no AF_UNIX
			e = freePort(t)
		}
		return Case{
			Probe:  a,
			Target: readiness.Target{RuntimeDir: dir, Endpoint: e},
			Ready:  func(*readiness.Setup) { answer(t, e) },
		}
	}
}

// freePort returns where nobody listens.
func freePort(t *testing.T) readiness.Endpoint {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l.Close()
	return readiness.Endpoint{Network: "tcp", Address: l.Addr().String()}
}

// answer answers everybody who asks at e.
func answer(t *testing.T, e readiness.Endpoint) {
	l, err := net.Listen(e.Network, e.Address)
	if err != nil {
		t.Error(err)
		return
	}
	over := make(chan struct{})
	go func() {
		defer close(over)
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			io.WriteString(conn, "up\n")
			conn.Close()
		}
	}()
	t.Cleanup(func() { l.Close(); <-over })
}
