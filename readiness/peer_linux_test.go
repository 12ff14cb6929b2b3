package readiness_test

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/podlaunch/podlaunch/readiness"
)

// Row 22, C30, W25: by default a process may answer if it is the pod, belongs to the
// pod's session or group, or descends from the pod. So a pod behind a wrapper passes,
// also if the wrapper makes a session for it.
func TestSamePod(t *testing.T) {
	session, group := &syscall.SysProcAttr{Setsid: true}, &syscall.SysProcAttr{Setpgid: true}
	for _, c := range []struct {
		name, role string
		pod        *syscall.SysProcAttr
	}{
		{"the pod itself", "serve", session},
		{"behind a wrapper", "wrap", session},
		{"behind a wrapper that leads a group only", "wrap", group},
		{"of the session, in another group", "wrap-group", session},
		{"of another group, and the pod leads no session", "wrap-group", group},
		{"of another session", "wrap-session", session},
	} {
		t.Run(c.name, func(t *testing.T) {
			target := dialled(filepath.Join(shortDir(t), "sock"))
			var server int
			target.PID, server = startChild(t, c.role, target.Endpoint.Address, c.pod)
			if (c.role == "serve") != (target.PID == server) {
				t.Errorf("%s: the pod is %d, the server %d", c.role, target.PID, server)
			}
			e, took, err := await(t, readiness.Socket{}, target)
			if took != 0 || errors.Is(err, errOver) {
				t.Errorf("after %v: %v", took, err)
			}
			if err != nil || e != target.Endpoint {
				t.Errorf("got %v, %v", e, err)
			}
		})
	}
}

// otherPod starts a process that does nothing until the test ends, and to which
// nobody else belongs.
func otherPod(t *testing.T) (pid int) {
	t.Helper()
	c := exec.Command("cat")
	c.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	stdin, err := c.StdinPipe()
	if err == nil {
		err = c.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		stdin.Close()
		c.Wait()
	})
	return c.Process.Pid
}

// refusedAsForeign fails the test unless err says that server, which is not of
// the pod, serves the socket, and what allows it.
func refusedAsForeign(t *testing.T, err error, server, pod int) {
	t.Helper()
	comm, readErr := os.ReadFile(fmt.Sprintf("/proc/%d/comm", server))
	if readErr != nil {
		t.Fatal(readErr)
	}
	mustBe(t, err, readiness.ErrForeignPeer)
	mustSay(t, err,
		fmt.Sprintf("pid %d (%q)", server, strings.TrimSpace(string(comm))),
		fmt.Sprintf("of user %d", os.Geteuid()),
		fmt.Sprintf("the pod, pid %d", pod),
		"readiness.Socket.Peer to readiness.SameUser")
}

// C14: a squatter of our own user, in a session of its own, that took the
// pod's path while the pod is another process. The error names it and what allows
// it, and with that it may answer.
func TestSquatter(t *testing.T) {
	target := dialled(filepath.Join(shortDir(t), "sock"))
	target.PID = otherPod(t)
	_, squatter := startChild(t, "serve", target.Endpoint.Address, &syscall.SysProcAttr{Setsid: true})
	_, took, err := await(t, readiness.Socket{}, target)
	if took != 0 {
		t.Errorf("after %v", took)
	}
	refusedAsForeign(t, err, squatter, target.PID)
	if e, _, err := await(t, readiness.Socket{Peer: readiness.SameUser}, target); err != nil || e != target.Endpoint {
		t.Errorf("SameUser: got %v, %v", e, err)
	}
}

// Rule 8: SamePod fails closed where it cannot tell: the pod's pid is not
// known, or the peer's is not (it lives in another pid namespace, or is gone).
func TestSamePodUnknown(t *testing.T) {
	us := readiness.Peer{PID: os.Getpid(), UID: os.Geteuid(), GID: os.Getegid()}
	gone := us
	gone.PID = 1<<22 + 1 // beyond what the kernel gives
	hidden := us
	hidden.PID = 0
	for _, c := range []struct {
		name string
		p    readiness.Peer
		pid  int
		says string
	}{
		{"the pod's pid is not known", us, 0, "own pid is not known"},
		{"the pod's pid is negative", us, -1, "own pid is not known"},
		{"neither is known", hidden, 0, "own pid is not known"},
		{"the peer is hidden", hidden, os.Getpid(), "pid 0"},
		{"the peer is gone", gone, os.Getpid(), fmt.Sprintf("pid %d of user", gone.PID)},
	} {
		t.Run(c.name, func(t *testing.T) {
			err := readiness.SamePod(c.p, readiness.Target{Name: "pod", PID: c.pid})
			mustBe(t, err, readiness.ErrForeignPeer)
			mustSay(t, err, c.says, "readiness.SameUser")
			if err := readiness.SameUser(c.p, readiness.Target{PID: c.pid}); err != nil {
				t.Errorf("SameUser: %v", err)
			}
		})
	}
	if err := readiness.SamePod(us, readiness.Target{PID: os.Getpid()}); err != nil {
		t.Error(err)
	}
}
