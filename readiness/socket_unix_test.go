//go:build unix

package readiness_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/podlaunch/podlaunch/readiness"
)

// longestDelay is what Socket promises: the longest time between two attempts.
const longestDelay = 50 * time.Millisecond

// dialled is a pod that is this process itself and has announced path.
func dialled(path string) readiness.Target {
	return readiness.Target{Name: "pod", PID: os.Getpid(), Endpoint: readiness.Endpoint{Network: "unix", Address: path}}
}

// listen listens on path until the test ends.
func listen(t *testing.T, path string) net.Listener {
	t.Helper()
	l, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return l
}

// leaveStale leaves a socket at path on which nobody listens.
func leaveStale(t *testing.T, path string) {
	t.Helper()
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	l.SetUnlinkOnClose(false)
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
}

// Row 14: a socket that answers is found at once, without a wait, and the
// endpoint is the target's.
func TestSocketAnswers(t *testing.T) {
	path := filepath.Join(shortDir(t), "sock")
	listen(t, path)
	target := dialled(path)
	for _, peer := range []func(readiness.Peer, readiness.Target) error{nil, readiness.SamePod, readiness.SameUser, readiness.AnyPeer} {
		e, took, err := await(t, readiness.Socket{Peer: peer}, target)
		if err != nil || e != target.Endpoint || took != 0 {
			t.Errorf("got %v after %v, %v", e, took, err)
		}
	}
}

// A socket of packets is dialled as one.
func TestSocketOfPackets(t *testing.T) {
	path := filepath.Join(shortDir(t), "sock")
	l, err := net.Listen("unixpacket", path)
	if err != nil {
		t.Skipf("there are none here: %v", err)
	}
	defer l.Close()
	target := dialled(path)
	target.Endpoint.Network = "unixpacket"
	if e, err := (readiness.Socket{}).Wait(t.Context(), target); err != nil || e != target.Endpoint {
		t.Errorf("got %v, %v", e, err)
	}
	target.Endpoint.Network = "unix"
	_, _, err = await(t, readiness.Socket{}, target)
	mustBe(t, err, syscall.EPROTOTYPE)
}

// C11: the connection of the probe is closed again.
func TestSocketHangsUp(t *testing.T) {
	path := filepath.Join(shortDir(t), "sock")
	l := listen(t, path)
	if _, err := (readiness.Socket{}).Wait(t.Context(), dialled(path)); err != nil {
		t.Fatal(err)
	}
	conn, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(time.Minute)); err != nil { // against hanging
		t.Fatal(err)
	}
	if _, err := conn.Read(make([]byte, 1)); err != io.EOF {
		t.Errorf("got %v, want the end", err)
	}
}

// A retry is a socket that does not answer yet, and what makes it.
type retry struct {
	name   string
	errno  syscall.Errno // why not
	before func(t *testing.T, path string)
	after  func(t *testing.T, path string)
}

// Row 14, C8, C12: what may get better is tried again, and found within the
// longest delay once it is, whenever that may be.
var retries = []retry{
	{
		"missing", syscall.ENOENT,
		func(*testing.T, string) {},
		func(t *testing.T, path string) { listen(t, path) },
	},
	{
		"nobody listens", syscall.ECONNREFUSED,
		leaveStale,
		func(t *testing.T, path string) {
			if err := os.Remove(path); err != nil {
				t.Fatal(err)
			}
			listen(t, path)
		},
	},
	{
		"nobody listens where a link leads", syscall.ECONNREFUSED,
		func(t *testing.T, path string) {
			leaveStale(t, path+".1")
			if err := os.Symlink("sock.1", path); err != nil {
				t.Fatal(err)
			}
		},
		func(t *testing.T, path string) {
			if err := os.Remove(path + ".1"); err != nil {
				t.Fatal(err)
			}
			listen(t, path+".1")
		},
	},
}

func TestSocketRetries(t *testing.T) {
	for _, c := range retries {
		t.Run(c.name, func(t *testing.T) {
			for late := time.Duration(0); late < time.Second; late += 17 * time.Millisecond {
				path := filepath.Join(shortDir(t), "sock")
				c.before(t, path)
				foundLate(t, dialled(path), late, func(t *testing.T) { c.after(t, path) })
			}
		})
	}
}

// foundLate makes sure that the target's socket does not answer, makes it
// answer when late has gone by, on a clock that jumps, and makes sure that it is
// found then.
func foundLate(t *testing.T, target readiness.Target, late time.Duration, makeAnswer func(t *testing.T)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		var e readiness.Endpoint
		var err error
		done := make(chan struct{})
		go func() {
			defer close(done)
			e, err = readiness.Socket{}.Wait(t.Context(), target)
		}()
		time.Sleep(late)
		synctest.Wait()
		select {
		case <-done:
			t.Fatalf("Wait returned %v, %v", e, err)
		default:
		}
		makeAnswer(t)
		start := time.Now()
		<-done
		if took := time.Since(start); took > longestDelay {
			t.Errorf("it was found after %v", took)
		}
		if err != nil || e != target.Endpoint {
			t.Errorf("got %v, %v", e, err)
		}
	})
}

// Row 14, row 17: when the time is over the last error and the number of
// attempts are kept; these follow the schedule: soon at first, then at least
// every 50 ms, and not in a tight loop.
func TestSocketPending(t *testing.T) {
	for _, c := range retries {
		t.Run(c.name, func(t *testing.T) {
			path := filepath.Join(shortDir(t), "sock")
			c.before(t, path)
			_, took, err := await(t, readiness.Socket{}, dialled(path))
			p := pending(t, err, errOver)
			mustBe(t, err, c.errno)
			mustBe(t, p.Last, c.errno)
			least, most := int(patience/longestDelay), int(4*patience/longestDelay)
			if took != patience || p.Attempts < least || p.Attempts > most {
				t.Errorf("%d attempts in %v, want %d to %d", p.Attempts, took, least, most)
			}
			mustSay(t, err, "an answer on unix:"+path, fmt.Sprintf("attempts: %d", p.Attempts), c.errno.Error())
		})
	}
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), 4*time.Millisecond)
		defer cancel()
		_, err := readiness.Socket{}.Wait(ctx, dialled(filepath.Join(t.TempDir(), "sock")))
		if p := pending(t, err, context.DeadlineExceeded); p.Attempts < 3 {
			t.Errorf("%d attempts in the first 4 ms", p.Attempts)
		}
	})
}

// Rule 9: two waits do not share a schedule: a second one begins with short
// delays again.
func TestSocketScheduleIsPerWait(t *testing.T) {
	target := dialled(filepath.Join(t.TempDir(), "sock"))
	var s readiness.Socket
	if _, _, err := await(t, s, target); err == nil {
		t.Fatal("there is a socket")
	}
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), 4*time.Millisecond)
		defer cancel()
		_, err := s.Wait(ctx, target)
		if p := pending(t, err, context.DeadlineExceeded); p.Attempts < 3 {
			t.Errorf("%d attempts in the first 4 ms", p.Attempts)
		}
	})
}

// Rule 3, A16: a unix socket is dialled once even when the context is done:
// ready beats cancellation; and not more than once.
func TestSocketContextDone(t *testing.T) {
	path := filepath.Join(shortDir(t), "sock")
	cause := errors.New("given up")
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(cause)
	_, err := readiness.Socket{}.Wait(ctx, dialled(path))
	if p := pending(t, err, cause); p.Attempts != 1 || !errors.Is(p.Last, syscall.ENOENT) {
		t.Errorf("got %+v", p)
	}
	listen(t, path)
	target := dialled(path)
	if e, err := (readiness.Socket{}).Wait(ctx, target); err != nil || e != target.Endpoint {
		t.Errorf("got %v, %v", e, err)
	}
}

// Row 14, A7, A33, C13: what cannot get better ends the wait at once, with the
// system's error and a message that names the path and the reason.
func TestSocketFinal(t *testing.T) {
	dir := shortDir(t)
	in := func(name string) string { return filepath.Join(dir, name) }
	if err := os.WriteFile(in("file"), nil, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(in("dir"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("file", in("link")); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Mkfifo(in("fifo"), 0o700); err != nil {
		t.Fatal(err)
	}
	dgram, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: in("dgram"), Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	defer dgram.Close()
	const limit = len(syscall.RawSockaddrUnix{}.Path) - 1
	for _, c := range []struct {
		name, path string
		errno      syscall.Errno
		says       []string
	}{
		{"a file", in("file"), syscall.ENOTSOCK, []string{in("file")}},
		{"a directory", in("dir"), syscall.ENOTSOCK, []string{in("dir")}},
		{"a link to a file", in("link"), syscall.ENOTSOCK, []string{in("link")}},
		{"a FIFO", in("fifo"), syscall.ENOTSOCK, []string{in("fifo")}},
		{"a datagram socket", in("dgram"), syscall.EPROTOTYPE, []string{in("dgram"), "another type", "datagram"}},
		{"below a file", in("file/sock"), syscall.ENOTDIR, []string{in("file/sock")}},
		{"one byte too long", strings.Repeat("p", limit+1), syscall.ENAMETOOLONG, []string{strings.Repeat("p", limit+1), fmt.Sprintf("%d bytes", limit+1), fmt.Sprintf("limit for a socket is %d", limit), "shorter"}},
		{"200 bytes", strings.Repeat("p", 200), syscall.ENAMETOOLONG, []string{"200 bytes"}},
		{"a NUL", in("a\x00b"), syscall.EINVAL, []string{`a\x00b`, "NUL"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, took, err := await(t, readiness.Socket{Peer: readiness.AnyPeer}, dialled(c.path))
			var p *readiness.PendingError
			if took != 0 || errors.As(err, &p) {
				t.Errorf("after %v: %v", took, err)
			}
			mustBe(t, err, c.errno)
			mustSay(t, err, c.says...)
		})
	}
}

// A7: a path that is just as long as the limit is dialled, and missing.
func TestSocketLongestPath(t *testing.T) {
	dir := shortDir(t)
	const limit = len(syscall.RawSockaddrUnix{}.Path) - 1
	path := dir + "/" + strings.Repeat("s", limit-len(dir)-1)
	_, _, err := await(t, readiness.Socket{}, dialled(path))
	mustBe(t, pending(t, err, errOver).Last, syscall.ENOENT)
	listen(t, path)
	if _, _, err := await(t, readiness.Socket{}, dialled(path)); err != nil {
		t.Error(err)
	}
}

// B34: a socket that an ordinary user may not connect to, or may not reach, is
// final.
func TestSocketNoPermission(t *testing.T) {
	if !ordinary(t) {
		return
	}
	dir := shortDir(t)
	closed, locked := filepath.Join(dir, "sock"), filepath.Join(dir, "d", "sock")
	listen(t, closed)
	if err := os.Chmod(closed, 0); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(filepath.Dir(locked), 0o700); err != nil {
		t.Fatal(err)
	}
	listen(t, locked)
	if err := os.Chmod(filepath.Dir(locked), 0); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.Chmod(filepath.Dir(locked), 0o700) })
	for _, path := range []string{closed, locked} {
		_, took, err := await(t, readiness.Socket{}, dialled(path))
		if took != 0 || errors.Is(err, errOver) {
			t.Errorf("after %v: %v", took, err)
		}
		mustBe(t, err, syscall.EACCES, os.ErrPermission)
		mustSay(t, err, path)
	}
}

// Without an endpoint there is nothing to dial, and that will not change.
func TestSocketNoEndpoint(t *testing.T) {
	_, took, err := await(t, readiness.Socket{}, target(t, nil))
	if took != 0 || errors.Is(err, errOver) {
		t.Errorf("after %v: %v", took, err)
	}
	mustSay(t, err, "readiness.Socket", "no endpoint")
	for _, e := range []readiness.Endpoint{{Network: "unix"}, {Network: "no-such", Address: "x"}, {Address: "/run/sock"}} {
		_, took, err := await(t, readiness.Socket{}, readiness.Target{Endpoint: e})
		if err == nil || took != 0 || errors.Is(err, errOver) {
			t.Errorf("%#v: after %v: %v", e, took, err)
		}
	}
}

// tcpPort reserves a port on the loopback, on which nobody listens until the
// function that it returns is called.
func tcpPort(t *testing.T) (addr string, listen func(backlog int)) {
	t.Helper()
	fd, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { syscall.Close(fd) })
	if err := syscall.Bind(fd, &syscall.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}); err != nil {
		t.Fatal(err)
	}
	sa, err := syscall.Getsockname(fd)
	if err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf("127.0.0.1:%d", sa.(*syscall.SockaddrInet4).Port), func(backlog int) {
		if err := syscall.Listen(fd, backlog); err != nil {
			t.Fatal(err)
		}
	}
}

// Row 14: an endpoint on a network is dialled likewise, retried while it
// refuses, and nobody is asked who answers.
func TestSocketTCP(t *testing.T) {
	addr, listen := tcpPort(t)
	target := readiness.Target{Name: "pod", Endpoint: readiness.Endpoint{Network: "tcp", Address: addr}}
	s := readiness.Socket{Peer: func(readiness.Peer, readiness.Target) error { return errors.New("asked") }}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	_, err := s.Wait(ctx, target)
	mustBe(t, pending(t, err, context.DeadlineExceeded).Cause, context.DeadlineExceeded)
	mustSay(t, err, "tcp:"+addr)
	listen(8)
	if e, err := s.Wait(t.Context(), target); err != nil || e != target.Endpoint {
		t.Errorf("got %v, %v", e, err)
	}
}

// What Socket.Peer is asked: who listens, as the system tells, and for which
// pod.
func TestSocketPeerIsAsked(t *testing.T) {
	path := filepath.Join(shortDir(t), "sock")
	listen(t, path)
	var asked []readiness.Peer
	_, err := readiness.Socket{Peer: func(p readiness.Peer, target readiness.Target) error {
		asked = append(asked, p)
		if target.Name != "pod" || target.PID != os.Getpid() || target.Endpoint.Address != path {
			t.Errorf("the target is %+v", target)
		}
		return nil
	}}.Wait(t.Context(), dialled(path))
	if err != nil || len(asked) != 1 || asked[0].UID != os.Geteuid() || asked[0].GID != os.Getegid() {
		t.Errorf("asked about %+v, %v", asked, err)
	}
}

// C14: the error of Socket.Peer is final, no matter which error it wraps. Even an error
// that the probe retries when a dial returns it is final here.
func TestSocketPeerIsFinal(t *testing.T) {
	path := filepath.Join(shortDir(t), "sock")
	listen(t, path)
	for _, refusal := range []error{
		errors.New("not him"),
		fmt.Errorf("%w: not him", readiness.ErrForeignPeer),
		fmt.Errorf("look at the peer: %w", syscall.ENOENT),
		syscall.ECONNREFUSED,
		context.DeadlineExceeded,
	} {
		asked := 0
		s := readiness.Socket{Peer: func(readiness.Peer, readiness.Target) error { asked++; return refusal }}
		_, took, err := await(t, s, dialled(path))
		var p *readiness.PendingError
		if took != 0 || asked != 1 || errors.As(err, &p) {
			t.Errorf("%v: asked %d times in %v: %v", refusal, asked, took, err)
		}
		mustBe(t, err, refusal)
		mustSay(t, err, "unix:"+path, refusal.Error())
	}
}

// Rule 10: one value serves any number of waits at once.
func TestSocketConcurrent(t *testing.T) {
	dir := shortDir(t)
	var s readiness.Socket
	var all sync.WaitGroup
	for i := range 20 {
		target := dialled(filepath.Join(dir, fmt.Sprint(i)))
		listen(t, target.Endpoint.Address)
		all.Go(func() {
			if e, err := s.Wait(t.Context(), target); err != nil || e != target.Endpoint {
				t.Errorf("got %v, %v", e, err)
			}
		})
	}
	all.Wait()
}
