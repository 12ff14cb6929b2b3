package readiness_test

import (
	"context"
	"errors"
	"net"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/podlaunch/podlaunch/readiness"
)

// full listens on path with a queue that is full, and returns a function that
// takes one connection out of it.
func full(t *testing.T, path string) (accept func(t *testing.T)) {
	t.Helper()
	fd, err := syscall.Socket(syscall.AF_UNIX, syscall.SOCK_STREAM|syscall.SOCK_NONBLOCK, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { syscall.Close(fd) })
	if err := syscall.Bind(fd, &syscall.SockaddrUnix{Name: path}); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Listen(fd, 0); err != nil {
		t.Fatal(err)
	}
	for {
		conn, err := net.Dial("unix", path)
		if errors.Is(err, syscall.EAGAIN) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { conn.Close() })
	}
	return func(t *testing.T) {
		t.Helper()
		conn, _, err := syscall.Accept(fd)
		if err != nil {
			t.Fatal(err)
		}
		syscall.Close(conn)
	}
}

// C10, row 14: a full queue of connections is tried again, and told when the
// time is over. (Go itself gives up at once.)
func TestSocketBacklog(t *testing.T) {
	for late := time.Duration(0); late < 500*time.Millisecond; late += 17 * time.Millisecond {
		path := filepath.Join(shortDir(t), "sock")
		accept := full(t, path)
		foundLate(t, dialled(path), late, accept)
	}
	path := filepath.Join(shortDir(t), "sock")
	full(t, path)
	_, took, err := await(t, readiness.Socket{}, dialled(path))
	if p := pending(t, err, errOver); took != patience || p.Attempts < int(patience/longestDelay) {
		t.Errorf("%d attempts in %v", p.Attempts, took)
	}
	mustBe(t, err, syscall.EAGAIN)
	mustSay(t, err, "queue of connections is full")
}

// Rule 9, D1-D5: a network that swallows the attempt does not turn the end of
// the context into another error: net notices a deadline of its own accord, and
// often before the context does.
func TestSocketDeadlineInDial(t *testing.T) {
	addr, listen := tcpPort(t)
	listen(0)
	conn, err := net.Dial("tcp", addr) // fills the queue; what comes now is not answered
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	target := readiness.Target{Name: "pod", Endpoint: readiness.Endpoint{Network: "tcp", Address: addr}}
	for range 50 {
		ctx, cancel := context.WithTimeout(t.Context(), 2*time.Millisecond)
		_, err := readiness.Socket{}.Wait(ctx, target)
		cancel()
		pending(t, err, context.DeadlineExceeded)
	}
	cause := errors.New("given up")
	ctx, cancel := context.WithCancelCause(t.Context())
	time.AfterFunc(2*time.Millisecond, func() { cancel(cause) })
	_, err = readiness.Socket{}.Wait(ctx, target)
	pending(t, err, cause)
}
