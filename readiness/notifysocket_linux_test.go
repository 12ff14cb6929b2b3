package readiness_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/sys/unix"

	"github.com/podlaunch/podlaunch/readiness"
)

// send sends datagrams to the notify socket, and files with each.
func (p *prepared) send(t *testing.T, files []int, datagrams ...string) {
	t.Helper()
	conn, err := net.DialUnix("unixgram", nil, &net.UnixAddr{Name: p.variable("NOTIFY_SOCKET"), Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	raw, err := conn.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	var rights []byte
	if files != nil {
		rights = unix.UnixRights(files...)
	}
	for _, d := range datagrams {
		// Not WriteMsgUnix, which does not want a socket that is connected.
		ctlErr := raw.Write(func(fd uintptr) bool {
			err = unix.Sendmsg(int(fd), []byte(d), rights, nil, unix.MSG_DONTWAIT)
			return !errors.Is(err, unix.EAGAIN)
		})
		if err := errors.Join(ctlErr, err); err != nil {
			t.Fatal(err)
		}
	}
}

// sd_notify(3), an assignment at a time: what ends the wait, and what is passed
// on. What was sent before the time was over counts.
func TestNotifySocket(t *testing.T) {
	one := 1
	long := "STATUS=" + strings.Repeat("x", 9<<10)
	for _, c := range []struct {
		name     string
		sent     []string
		ready    bool
		failed   *readiness.FailedError
		shown    []string
		extended []time.Duration
		noted    string // of the error, if the pod is neither
	}{
		{name: "ready", sent: []string{"READY=1"}, ready: true},
		{name: "ready, with the string's end", sent: []string{"READY=1\n\x00"}, ready: true},
		{name: "several in one", sent: []string{"FOO=bar\nSTATUS=up\nREADY=1\nMAINPID=7\n"}, ready: true, shown: []string{"up"}},
		{name: "after other things", sent: []string{"STATUS=1 of 2", "STATUS=2 of 2", "READY=1"}, ready: true, shown: []string{"1 of 2", "2 of 2"}},
		{name: "ready at once, failed later", sent: []string{"READY=1", "ERRNO=5"}, ready: true},
		{name: "errno", sent: []string{"STATUS=no disk", "ERRNO=5"}, shown: []string{"no disk"},
			failed: &readiness.FailedError{Reason: "no disk", Errno: syscall.EIO}},
		{name: "errno and its status in one", sent: []string{"ERRNO=5\nSTATUS=no disk"}, shown: []string{"no disk"},
			failed: &readiness.FailedError{Reason: "no disk", Errno: syscall.EIO}},
		{name: "exit status", sent: []string{"EXIT_STATUS=1"}, failed: &readiness.FailedError{ExitStatus: &one}},
		{name: "stopping", sent: []string{"STOPPING=1\nSTATUS=told to"}, shown: []string{"told to"},
			failed: &readiness.FailedError{Reason: "told to", Stopping: true}},
		{name: "failed and ready in one", sent: []string{"READY=1\nERRNO=5"}, failed: &readiness.FailedError{Errno: syscall.EIO}},
		{name: "more time", sent: []string{"EXTEND_TIMEOUT_USEC=1500000"}, extended: []time.Duration{1500 * time.Millisecond}},
		{name: "more time than there is", sent: []string{"EXTEND_TIMEOUT_USEC=18446744073709551615"},
			extended: []time.Duration{9223372036854775 * time.Microsecond}},
		{name: "unknown", sent: []string{"RELOADING=1\nX_Y=z\nWATCHDOG=1"}},
		{name: "no error", sent: []string{"ERRNO=0"}},
		{name: "the last status", sent: []string{"STATUS=a", "STATUS=b"}, shown: []string{"a", "b"}, noted: `its last status was "b"`},
		{name: "main pid", sent: []string{"MAINPID=7"}, noted: "its main process is pid 7"},
		{name: "its own main pid", sent: []string{fmt.Sprintf("MAINPID=%d", os.Getpid())}},
		{name: "no assignment", sent: []string{"ready"}, noted: `not understood in a notification: "ready"`},
		{name: "not ready", sent: []string{"READY=0"}, noted: `"READY=0"`},
		{name: "case matters", sent: []string{"ready=1", "READY = 1"}},
		{name: "not a number", sent: []string{"ERRNO=EIO\nEXIT_STATUS=256\nEXTEND_TIMEOUT_USEC=-1"}, noted: `"ERRNO=EIO", "EXIT_STATUS=256", "EXTEND_TIMEOUT_USEC=-1"`},
		{name: "a NUL", sent: []string{"READY=1\x00\n"}, noted: `it holds a NUL: "READY=1\x00\n"`},
		{name: "empty", sent: []string{""}, noted: "it says nothing"},
		{name: "blank", sent: []string{"\n\n"}, noted: "it says nothing"},
		{name: "too long", sent: []string{"READY=1\n" + long}, noted: "more than 8192 bytes"},
		{name: "a barrier and more", sent: []string{"BARRIER=1\nREADY=1"}, noted: "BARRIER=1 and something else"},
		{name: "a barrier without a descriptor", sent: []string{"BARRIER=1"}},
		{name: "much nonsense", sent: []string{"a", "b", "c", "d", "e"}, noted: "and 2 more such notifications"},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := prepare(t, readiness.NotifySocket{})
			p.send(t, nil, c.sent...)
			e, err := p.over(t)
			if !slices.Equal(p.shown, c.shown) || !slices.Equal(p.extended, c.extended) {
				t.Errorf("shown %q, extended by %v", p.shown, p.extended)
			}
			switch {
			case c.ready:
				if err != nil || e != p.target.Endpoint {
					t.Errorf("got %v, %v", e, err)
				}
			case c.failed != nil:
				if failed := failedWith(t, err); failed.Error() != c.failed.Error() {
					t.Errorf("got %v, want %v", failed, c.failed)
				}
			default:
				notes := strings.Join(pending(t, err, errOver).Notes, "; ")
				if !strings.Contains(notes, c.noted) || (c.noted == "") != (notes == "") {
					t.Errorf("the notes are %q, want %q", notes, c.noted)
				}
			}
			again, againErr := p.over(t)
			if again != e || (againErr == nil) != (err == nil) || c.failed != nil && againErr != err {
				t.Errorf("asked again: %v, %v; before: %v, %v", again, againErr, e, err)
			}
		})
	}
}

// The probe lets a barrier pass once it has handled everything before it. It closes
// every descriptor that a process sends, with any datagram.
func TestNotifyBarrier(t *testing.T) {
	p := prepare(t, readiness.NotifySocket{})
	p.showing = make(chan string, 1)
	ctx, cancel := context.WithCancelCause(t.Context())
	done := make(chan error, 1)
	go func() {
		_, err := p.probe.Wait(ctx, p.target)
		done <- err
	}()
	p.send(t, nil, "STATUS=before")
	r, w := pipe(t)
	p.send(t, []int{int(w.Fd())}, "BARRIER=1")
	w.Close()
	if _, err := r.Read(make([]byte, 1)); err != io.EOF { // somebody has closed it
		t.Fatal(err)
	}
	select {
	case <-p.showing:
	default:
		t.Error("what came before the barrier was not handled when it was passed")
	}
	cancel(errOver)
	pending(t, <-done, errOver)
	p.showing = nil

	for _, text := range []string{"STATUS=x", "nonsense", "", "BARRIER=1\nX=1", strings.Repeat("y", 10<<10), "ERRNO=5"} {
		r, w := pipe(t)
		many := slices.Repeat([]int{int(w.Fd())}, 253)
		p.send(t, many, text)
		w.Close()
		if _, err := p.over(t); err == nil {
			t.Error("it is ready")
		}
		if _, err := r.Read(make([]byte, 1)); err != io.EOF {
			t.Errorf("with %.20q: %v", text, err)
		}
	}
}

func pipe(t *testing.T) (r, w *os.File) {
	t.Helper()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		r.Close()
		w.Close()
	})
	r.SetReadDeadline(time.Now().Add(patience)) // it only ends a test that hangs
	return r, w
}

// A sender is a child that sends notifications.
type sender struct {
	pid  int
	say  func(text string)
	stop func()
}

// startSender starts one. It ends with the test, if it was not stopped before.
func startSender(t *testing.T, socket string, attr *syscall.SysProcAttr) *sender {
	t.Helper()
	c := self("notify", socket)
	c.SysProcAttr, c.Stderr = attr, os.Stderr
	stdin, err := c.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	stdout, err := c.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewReader(stdout)
	stopped := false
	s := &sender{pid: c.Process.Pid}
	s.say = func(text string) {
		t.Helper()
		fmt.Fprintln(stdin, strings.ReplaceAll(text, "\n", `\n`))
		if line, err := lines.ReadString('\n'); line != "sent\n" {
			t.Fatalf("the sender says %q, %v", line, err)
		}
	}
	s.stop = func() {
		if !stopped {
			stopped = true
			stdin.Close()
			if err := c.Wait(); err != nil {
				t.Errorf("the sender: %v", err)
			}
		}
	}
	t.Cleanup(s.stop)
	return s
}

// Any datagram of a process that is not of the pod is an error, which names the process
// and what allows it.
func TestNotifyOfAStranger(t *testing.T) {
	for _, text := range []string{"READY=1", "nonsense", "STATUS=ha"} {
		p := prepare(t, readiness.NotifySocket{})
		p.target.PID = otherPod(t)
		stranger := startSender(t, p.variable("NOTIFY_SOCKET"), &syscall.SysProcAttr{Setsid: true})
		stranger.say(text)
		_, err := p.over(t)
		mustBe(t, err, readiness.ErrForeignPeer)
		mustSay(t, err, fmt.Sprintf("pid %d", stranger.pid), fmt.Sprintf("has sent %q", text),
			fmt.Sprintf("the pod, pid %d", p.target.PID), "readiness.NotifySocket.Peer to readiness.SameUser")
		if p.shown != nil {
			t.Errorf("shown: %q", p.shown)
		}
	}
	p := prepare(t, readiness.NotifySocket{Peer: readiness.SameUser})
	startSender(t, p.variable("NOTIFY_SOCKET"), &syscall.SysProcAttr{Setsid: true}).say("READY=1")
	if _, err := p.over(t); err != nil {
		t.Errorf("SameUser: %v", err)
	}
	verdict := errors.New("not on a Monday")
	p = prepare(t, readiness.NotifySocket{Peer: func(readiness.Peer, readiness.Target) error { return verdict }})
	p.send(t, nil, "READY=1")
	_, err := p.over(t)
	mustBe(t, err, verdict)
	mustSay(t, err, "readiness.NotifySocket.Peer", `"READY=1"`)
}

// Who is of the pod's session may speak for it.
func TestNotifyOfThePod(t *testing.T) {
	p := prepare(t, readiness.NotifySocket{})
	pod := startSender(t, p.variable("NOTIFY_SOCKET"), &syscall.SysProcAttr{Setsid: true})
	p.target.PID = pod.pid
	pod.say("READY=1")
	if _, err := p.over(t); err != nil {
		t.Error(err)
	}
}

// What a process said that is gone, and so cannot be proven to have been of the
// pod, is not taken, but told, with what relaxes it.
func TestNotifyOfOneWhoIsGone(t *testing.T) {
	p := prepare(t, readiness.NotifySocket{})
	helper := startSender(t, p.variable("NOTIFY_SOCKET"), nil)
	helper.say("READY=1\nSTATUS=up")
	helper.stop()
	_, err := p.over(t)
	pending(t, err, errOver)
	mustSay(t, err, fmt.Sprintf("pid %d", helper.pid), "was gone before", `"READY=1\nSTATUS=up"`, "readiness.NotifySocket.Peer to readiness.SameUser")
	if p.shown != nil {
		t.Errorf("shown: %q", p.shown)
	}

	p = prepare(t, readiness.NotifySocket{Peer: readiness.SameUser})
	helper = startSender(t, p.variable("NOTIFY_SOCKET"), nil)
	helper.say("READY=1")
	helper.stop()
	if _, err := p.over(t); err != nil {
		t.Errorf("SameUser: %v", err)
	}
}

// A datagram of another user is an error, also if its sender is gone already.
func TestNotifyOfAnotherUser(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("not run: only root can start a process of another user")
	}
	for _, gone := range []bool{false, true} {
		p := prepare(t, readiness.NotifySocket{Peer: readiness.SameUser})
		socket := p.variable("NOTIFY_SOCKET")
		for _, path := range []string{filepath.Dir(socket), socket} {
			if err := os.Chmod(path, 0o777); err != nil {
				t.Fatal(err)
			}
		}
		stranger := startSender(t, socket, &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: someoneElse, Gid: someoneElse}})
		stranger.say("READY=1")
		if gone {
			stranger.stop()
		}
		_, err := p.over(t)
		mustBe(t, err, readiness.ErrForeignPeer)
		mustSay(t, err, fmt.Sprintf("of user %d", someoneElse), "readiness.NotifySocket.Peer to readiness.AnyPeer")
	}
}

// After READY=1 a helper's barrier is still taken: systemd-notify(1) would fail
// otherwise, and a shell that checks it with it.
func TestNotifyHelperGetsItsBarrierThrough(t *testing.T) {
	p := prepare(t, readiness.NotifySocket{})
	r, w := pipe(t)
	p.send(t, nil, "READY=1")
	p.send(t, []int{int(w.Fd())}, "BARRIER=1")
	w.Close()
	if _, err := p.probe.Wait(t.Context(), p.target); err != nil {
		t.Error(err)
	}
	if _, err := r.Read(make([]byte, 1)); err != io.EOF {
		t.Error(err)
	}
}

// A pod that says itself that it is ready is not kept waiting for a helper's
// barrier; a barrier that is there already is taken all the same.
func TestNotifyOfThePodItselfIsNotHeldUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := prepare(t, readiness.NotifySocket{})
		p.send(t, nil, "READY=1")
		began := time.Now()
		if _, err := p.probe.Wait(t.Context(), p.target); err != nil || time.Since(began) != 0 {
			t.Errorf("after %v: %v", time.Since(began), err)
		}
	})
}

// A pod that floods the socket does not keep the probe from noticing that the
// time is over.
func TestNotifyFlood(t *testing.T) {
	ctx, cancel := context.WithCancelCause(t.Context())
	p := prepare(t, readiness.NotifySocket{})
	p.setup.Status = nil
	conn, err := net.Dial("unixgram", p.variable("NOTIFY_SOCKET"))
	if err != nil {
		t.Fatal(err)
	}
	const before = 1000
	flooded, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		for i := 0; ; i++ {
			if i == before {
				close(flooded)
			}
			if _, err := conn.Write([]byte("nonsense")); err != nil {
				return
			}
		}
	}()
	go func() {
		<-flooded
		cancel(errOver)
	}()
	_, err = p.probe.Wait(ctx, p.target)
	pending(t, err, errOver)
	p.setup.Close()
	<-ended
	conn.Close()
}

// The socket is the user's alone under any umask, and replaces a socket that an earlier
// launch left. It goes when the launch is over, unless the path has another socket by
// then.
func TestNotifySocketFile(t *testing.T) {
	for _, mask := range []int{0, 0o777} {
		p := prepareUnder(t, mask, readiness.NotifySocket{})
		path := p.variable("NOTIFY_SOCKET")
		fi, err := os.Lstat(path)
		if err != nil || fi.Mode() != os.ModeSocket|0o600 || filepath.Dir(path) != p.setup.RuntimeDir {
			t.Errorf("under the mask %#o: %q: %v, %v", mask, path, fi, err)
		}
		p.send(t, nil, "READY=1", "BARRIER=1")
		if _, err := p.over(t); err != nil {
			t.Error(err)
		}
	}
	p := prepare(t, readiness.NotifySocket{})
	path := p.variable("NOTIFY_SOCKET")
	p.setup.Close()
	if _, err := os.Lstat(path); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("after the launch: %v", err)
	}

	stale, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	stale.Close()
	setup := &readiness.Setup{Name: "pod", RuntimeDir: p.setup.RuntimeDir}
	if _, err := (readiness.NotifySocket{}).Prepare(t.Context(), setup); err != nil {
		t.Errorf("a stale socket: %v", err)
	}
	if err := os.Rename(path, path+"-"); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	setup.Close()
	if _, err := os.Lstat(path); err != nil {
		t.Errorf("what was no more the probe's is gone: %v", err)
	}
}

// What cannot work is an error before the start, which names the probe.
func TestNotifySocketBadInput(t *testing.T) {
	refused := func(t *testing.T, setup *readiness.Setup, parts ...string) error {
		t.Helper()
		defer setup.Close()
		_, err := readiness.Sequence{readiness.NotifySocket{}}.Prepare(t.Context(), setup)
		mustSay(t, err, append(parts, "readiness.NotifySocket")...)
		return err
	}
	t.Run("twice", func(t *testing.T) {
		refused(t, prepare(t, readiness.NotifySocket{}).setup, "already")
	})
	t.Run("no socket in the way", func(t *testing.T) {
		dir := shortDir(t)
		path := filepath.Join(dir, "notify")
		if err := os.WriteFile(path, []byte("precious"), 0o600); err != nil {
			t.Fatal(err)
		}
		refused(t, &readiness.Setup{RuntimeDir: dir}, path, "is no socket", "remove it")
		if data, err := os.ReadFile(path); string(data) != "precious" {
			t.Errorf("it holds %q, %v", data, err)
		}
	})
	t.Run("too long", func(t *testing.T) {
		dir := filepath.Join(shortDir(t), strings.Repeat("d", 100))
		err := refused(t, &readiness.Setup{RuntimeDir: dir}, "the limit for a socket is 107", "choose a shorter runtime directory")
		mustBe(t, err, syscall.ENAMETOOLONG)
	})
	t.Run("no directory", func(t *testing.T) {
		mustBe(t, refused(t, &readiness.Setup{RuntimeDir: "/nonexistent/dir"}), os.ErrNotExist)
	})
	t.Run("not prepared", func(t *testing.T) {
		_, err := readiness.NotifySocket{}.Wait(t.Context(), readiness.Target{})
		mustSay(t, err, "readiness.NotifySocket", "not prepared")
	})
}

// A launch that is over while somebody still waits does not leave him waiting.
func TestNotifySocketClosedUnderTheWait(t *testing.T) {
	p := prepare(t, readiness.NotifySocket{})
	done := make(chan error, 1)
	go func() {
		_, err := p.probe.Wait(t.Context(), p.target)
		done <- err
	}()
	p.setup.Close()
	if err := <-done; !errors.Is(err, net.ErrClosed) {
		t.Error(err)
	}
}
