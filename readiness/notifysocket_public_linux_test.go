package readiness_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"syscall"
	"testing"

	"github.com/podlaunch/podlaunch/readiness"
)

// W28: a pod that has become another user, or has another root, reaches a public
// socket, and its notification counts; on one in the runtime directory it is said
// what is in the way. A stranger's is not taken, and does not end the wait.
func TestNotifyAcrossUsersAndRoots(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("not run: only root can start a process of another user, or in another root")
	}
	for name, c := range map[string]struct {
		attr *syscall.SysProcAttr
		root string
		says string
	}{
		"another user": {&syscall.SysProcAttr{Setsid: true, Credential: &syscall.Credential{Uid: someoneElse, Gid: someoneElse}}, "", "the pod has become user 65534"},
		"another root": {&syscall.SysProcAttr{Setsid: true}, t.TempDir(), "the pod has another root directory"},
	} {
		t.Run(name, func(t *testing.T) {
			p := prepare(t, readiness.NotifySocket{Public: true})
			socket := p.variable("NOTIFY_SOCKET")
			if !strings.HasPrefix(socket, "@") || len(socket) > 100 {
				t.Errorf("the socket is %q", socket)
			}
			stranger := startSender(t, socket, &syscall.SysProcAttr{Setsid: true, Credential: &syscall.Credential{Uid: someoneElse, Gid: someoneElse}})
			stranger.say("READY=1")
			p.target.PID = otherPod(t)
			_, err := p.over(t)
			pending(t, err, errOver)
			mustSay(t, err, "notification of a stranger", fmt.Sprintf("pid %d", stranger.pid))
			t.Setenv(chrootEnv, c.root)
			sender := startSender(t, socket, c.attr)
			p.target.PID = sender.pid
			sender.say("READY=1")
			if _, err := p.over(t); err != nil {
				t.Error(err)
			}

			p = prepare(t, readiness.NotifySocket{})
			p.target.PID = sender.pid
			_, err = p.over(t)
			mustSay(t, err, c.says, "readiness.NotifySocket.Public")
		})
	}
	p := prepare(t, readiness.NotifySocket{})
	p.target.PID = otherPod(t)
	if _, err := p.over(t); strings.Contains(err.Error(), "Public") {
		t.Errorf("nothing is in the way: %v", err)
	}
}

// The socket stays for those who notify later: as long as the pod has it open nobody
// fails or blocks, however much is sent, and barriers get through. It goes with the
// pod, and the next launch takes its place.
func TestNotifySocketStays(t *testing.T) {
	for _, public := range []bool{false, true} {
		p := prepare(t, readiness.NotifySocket{Public: public})
		path := p.variable("NOTIFY_SOCKET")
		files := p.setup.Files
		kept := duplicate(t, files[len(files)-1]) // what the pod inherits
		p.setup.CloseFiles()
		sender, err := net.Dial("unixgram", path)
		if err != nil {
			t.Fatal(err)
		}
		defer sender.Close()
		for range 5 { // queued when the launch is over
			fmt.Fprint(sender, "STATUS=on the way")
		}
		p.setup.Close()
		ctx, cancel := context.WithCancel(t.Context())
		context.AfterFunc(ctx, func() { sender.Close() })
		for i := range 5000 {
			if _, err := fmt.Fprint(sender, "RELOADING=1"); err != nil {
				t.Fatalf("public %v: notification %d: %v", public, i, err)
			}
		}
		r, w := pipe(t)
		p.send(t, []int{int(w.Fd())}, "BARRIER=1")
		w.Close()
		if _, err := r.Read(make([]byte, 1)); err != io.EOF {
			t.Errorf("public %v: the barrier: %v", public, err)
		}
		cancel()
		syscall.Close(kept)
		if conn, err := net.Dial("unixgram", path); !errors.Is(err, syscall.ECONNREFUSED) {
			t.Errorf("public %v: when the pod has gone: %v, %v", public, conn, err)
		}
		if !public {
			again := prepareIn(t, p.setup.RuntimeDir, readiness.NotifySocket{})
			again.send(t, nil, "READY=1")
			if _, err := again.over(t); err != nil {
				t.Error(err)
			}
		}
	}
}

func duplicate(t *testing.T, f *os.File) int {
	t.Helper()
	raw, err := f.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	fd := -1
	if ctlErr := raw.Control(func(old uintptr) { fd, err = syscall.Dup(int(old)) }); ctlErr != nil || err != nil {
		t.Fatal(ctlErr, err)
	}
	syscall.CloseOnExec(fd)
	return fd
}

// A pod that fails leaves no socket: by then nobody has it.
func TestNotifySocketGoesWithAPodThatFails(t *testing.T) {
	p := prepare(t, readiness.NotifySocket{})
	p.setup.CloseFiles()
	p.setup.Close()
	if _, err := os.Lstat(p.variable("NOTIFY_SOCKET")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("it is there: %v", err)
	}
}

// An empty status is no progress, and does not take the place of the last word.
func TestNotifyStatusWithNothingBehindIt(t *testing.T) {
	p := prepare(t, readiness.NotifySocket{})
	p.send(t, nil, "STATUS=", "STATUS= \t", "STATUS=reading", "STATUS=", "STATUS=\nERRNO=2")
	_, err := p.over(t)
	var failed *readiness.FailedError
	if !errors.As(err, &failed) || failed.Reason != "reading" {
		t.Errorf("got %v", err)
	}
	if len(p.shown) != 1 || p.shown[0] != "reading" {
		t.Errorf("shown: %q", p.shown)
	}
}
