//go:build unix

package readiness_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/podlaunch/podlaunch/readiness"
)

// Row 22, C15: another user is refused by SamePod and SameUser, which say who
// it is, who we are, and what allows it; AnyPeer accepts everybody.
func TestPeerOfAnotherUser(t *testing.T) {
	stranger := readiness.Peer{PID: os.Getpid(), UID: os.Geteuid() + 1, GID: os.Getegid()}
	target := readiness.Target{Name: "pod", PID: os.Getppid()}
	for _, check := range []func(readiness.Peer, readiness.Target) error{readiness.SamePod, readiness.SameUser} {
		err := check(stranger, target)
		mustBe(t, err, readiness.ErrForeignPeer)
		mustSay(t, err,
			fmt.Sprintf("pid %d", stranger.PID),
			fmt.Sprintf("of user %d", stranger.UID),
			fmt.Sprintf("we are user %d", os.Geteuid()),
			"readiness.Socket.Peer to readiness.AnyPeer")
	}
	for _, p := range []readiness.Peer{stranger, {}, {PID: -1, UID: -1, GID: -1}} {
		if err := readiness.AnyPeer(p, target); err != nil {
			t.Error(err)
		}
	}
	// The pod's first process is no stranger, and FirstProcess accepts it alone.
	target.PID = stranger.PID
	err := readiness.SamePod(stranger, target)
	mustBe(t, err, readiness.ErrForeignPeer)
	mustSay(t, err, "served by the pod as another user", fmt.Sprintf("of user %d", stranger.UID), fmt.Sprintf("we are user %d", os.Geteuid()), "readiness.Socket.Peer to readiness.FirstProcess")
	if err := readiness.FirstProcess(stranger, target); err != nil {
		t.Error(err)
	}
	for _, other := range []readiness.Target{{}, {PID: os.Getppid()}} {
		mustBe(t, readiness.FirstProcess(stranger, other), readiness.ErrForeignPeer)
		mustBe(t, readiness.FirstProcess(readiness.Peer{UID: os.Geteuid()}, other), readiness.ErrForeignPeer)
	}
	// The group does not matter.
	if err := readiness.SameUser(readiness.Peer{UID: os.Geteuid(), GID: os.Getegid() + 1}, target); err != nil {
		t.Error(err)
	}
}

// C15: a process of another user that really serves the socket.
func TestSocketOfAnotherUser(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("not run: only root can start a process of another user")
	}
	dir := shortDir(t)
	if err := os.Chmod(dir, 0o777); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "sock")
	pid, _ := startChild(t, "serve", path, &syscall.SysProcAttr{
		Setsid:     true,
		Credential: &syscall.Credential{Uid: someoneElse, Gid: someoneElse},
	})
	target := dialled(path)
	target.PID = pid
	for _, peer := range []func(readiness.Peer, readiness.Target) error{nil, readiness.SameUser} {
		_, took, err := await(t, readiness.Socket{Peer: peer}, target)
		if took != 0 || errors.Is(err, errOver) {
			t.Errorf("after %v: %v", took, err)
		}
		mustBe(t, err, readiness.ErrForeignPeer)
		mustSay(t, err, fmt.Sprintf("of user %d", someoneElse), "we are user 0", "set readiness.Socket.Peer to readiness.")
	}
	if e, _, err := await(t, readiness.Socket{Peer: readiness.AnyPeer}, target); err != nil || e != target.Endpoint {
		t.Errorf("got %v, %v", e, err)
	}
}
